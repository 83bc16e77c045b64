//! `serve.http.throttle`: how often a client address may fail.

use std::time::Duration;

use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::Settings;
use crate::trusted_proxies;

/// The largest quota.
const QUOTA_MAX: u64 = 1_000_000;
const WINDOW_MIN: Duration = Duration::from_secs(1);
const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);

const fn quota(path: &'static str, set: fn(&mut Settings, u64)) -> Key {
    public(
        path,
        Fallback::Unset("any number"),
        Kind::Integer {
            min: 1,
            max: QUOTA_MAX,
            set,
        },
    )
}

const fn window(path: &'static str, set: fn(&mut Settings, Duration)) -> Key {
    public(
        path,
        Fallback::Value("1m"),
        Kind::Duration {
            min: WINDOW_MIN,
            max: WINDOW_MAX,
            set,
        },
    )
}

pub(super) const KEYS: &[Key] = &[
    quota("serve.http.throttle.failures.quota", |s, quota| {
        s.serve.http.throttle.failures.quota = Some(quota);
    })
    .about(
        "Verifications of credentials that are not valid. Each one in a batch counts. At \
         most one a millisecond of the window.",
    )
    .example("100"),
    window("serve.http.throttle.failures.window", |s, window| {
        s.serve.http.throttle.failures.window = window;
    })
    .about("The time in which the whole quota comes back."),
    quota("serve.http.throttle.self_revocations.quota", |s, quota| {
        s.serve.http.throttle.self_revocations.quota = Some(quota);
    })
    .about(
        "Requests to revoke one's own key, whatever their outcome. At most one a \
         millisecond of the window.",
    )
    .example("10"),
    window(
        "serve.http.throttle.self_revocations.window",
        |s, window| {
            s.serve.http.throttle.self_revocations.window = window;
        },
    )
    .about("The time in which the whole quota comes back."),
    public(
        "serve.http.throttle.exempt",
        Fallback::Unset("none"),
        Kind::List {
            what: "addresses or CIDR blocks such as 10.0.0.0/8",
            item: |text| {
                let block = trusted_proxies::block(text);
                block
                    .map(|_| text.to_owned())
                    .ok_or_else(|| "neither an address nor a CIDR block".to_owned())
            },
            set: |s, items| {
                let blocks = items.iter().filter_map(|item| trusted_proxies::block(item));
                s.serve.http.throttle.exempt = blocks.collect();
            },
        },
    )
    .about(
        "Addresses or CIDR blocks that are never throttled: gateways that verify for all \
         their users, and the other nodes of a cluster that has no replication.secret.",
    )
    .example("[10.0.0.0/8]"),
];
