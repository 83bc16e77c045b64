//! `serve.http.timeouts` and `serve.http.limits`: what clients may take of the server.

use std::time::Duration;

use super::number;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::Settings;

/// The shortest of the timeouts.
const TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two requests. Load balancers keep connections for up to an hour.
const IDLE_MAX: Duration = Duration::from_secs(7200);
/// The longest of the other timeouts.
const TIMEOUT_MAX: Duration = Duration::from_secs(600);

const fn timeout(
    path: &'static str,
    fallback: &'static str,
    max: Duration,
    set: fn(&mut Settings, Duration),
) -> Key {
    let min = TIMEOUT_MIN;
    public(
        path,
        Fallback::Value(fallback),
        Kind::Duration { min, max, set },
    )
}

pub(super) const KEYS: &[Key] = &[
    timeout("serve.http.timeouts.idle", "75s", IDLE_MAX, |s, time| {
        s.serve.http.timeouts.idle = time;
    }),
    timeout("serve.http.timeouts.head", "10s", TIMEOUT_MAX, |s, time| {
        s.serve.http.timeouts.head = time;
    }),
    timeout("serve.http.timeouts.body", "60s", TIMEOUT_MAX, |s, time| {
        s.serve.http.timeouts.body = time;
    }),
    timeout(
        "serve.http.timeouts.body_progress",
        "10s",
        TIMEOUT_MAX,
        |s, time| s.serve.http.timeouts.body_progress = time,
    ),
    timeout(
        "serve.http.timeouts.write",
        "30s",
        TIMEOUT_MAX,
        |s, time| {
            s.serve.http.timeouts.write = time;
        },
    ),
    public(
        "serve.http.limits.connections",
        Fallback::Value("8192"),
        Kind::Integer {
            min: 16,
            max: 1 << 20,
            set: |s, count| s.serve.http.limits.connections = number::to_usize(count),
        },
    ),
    public(
        "serve.http.limits.memory",
        Fallback::Value("268435456"),
        Kind::Integer {
            min: 32 << 20,
            max: 1 << 40,
            set: |s, bytes| s.serve.http.limits.memory = number::to_usize(bytes),
        },
    ),
];
