//! `cache.redis`: accepted for configurations that were written for other servers. This node
//! answers from its own copy of the keys and asks no Redis server.

use std::time::Duration;

use crate::address::host_port;
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

const CONNECTIONS_MAX: u64 = 1000;
const DATABASE_MAX: u64 = 15;
/// A year.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// A number of connections.
const CONNECTIONS: Kind = Kind::Integer {
    min: 0,
    max: CONNECTIONS_MAX,
    set: |_, _| {},
};
/// How long something may take, or last.
const PERIOD: Kind = Kind::DurationOrNone {
    min: Duration::from_millis(1),
    max: DURATION_MAX,
    set: |_, _| {},
};

pub(super) const KEYS: &[Key] = &[
    public(
        "cache.redis.addrs",
        Fallback::Value("localhost:6379"),
        Kind::List {
            what: "addresses, each HOST:PORT",
            item: |text| host_port(text).map(|_| text.to_owned()),
            set: |_, _| {},
        },
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
    public(
        "cache.redis.username",
        Fallback::Unset("none"),
        Kind::OptionalText { set: |_, _| {} },
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers.")
    .example("talos"),
    secret(
        "cache.redis.password",
        Fallback::Unset("none"),
        Kind::OptionalText { set: |_, _| {} },
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers.")
    .example("a-password-of-redis"),
    public(
        "cache.redis.db",
        Fallback::Value("0"),
        Kind::Integer {
            min: 0,
            max: DATABASE_MAX,
            set: |_, _| {},
        },
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
    public("cache.redis.timeout", Fallback::Value("3s"), PERIOD)
        .restart()
        .about("Without effect; for configurations that were written for other servers."),
    public("cache.redis.pool_size", Fallback::Value("100"), CONNECTIONS)
        .restart()
        .about("Without effect; for configurations that were written for other servers."),
    public(
        "cache.redis.min_idle_conns",
        Fallback::Value("2"),
        CONNECTIONS,
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
    public(
        "cache.redis.conn_max_idle_time",
        Fallback::Value("5m"),
        PERIOD,
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
    public(
        "cache.redis.conn_max_lifetime",
        Fallback::Value("30m"),
        PERIOD,
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
    public(
        "cache.redis.tls.enabled",
        Fallback::Value("false"),
        Kind::Boolean { set: |_, _| {} },
    )
    .restart()
    .about("Without effect; for configurations that were written for other servers."),
];
