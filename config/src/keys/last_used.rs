//! `last_used`: how the times of last use are written.

use std::time::Duration;

use super::number;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;

/// A queued use takes about 100 bytes.
const QUEUE_MAX: u64 = 1_000_000;
const INTERVAL_MIN: Duration = Duration::from_secs(1);
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
const WORKERS_MAX: u64 = 256;

pub(super) const KEYS: &[Key] = &[
    public(
        "last_used.queue_size",
        Fallback::Value("10000"),
        Kind::Integer {
            min: 1,
            max: QUEUE_MAX,
            set: |s, uses| s.last_used.queue_size = number::to_usize(uses),
        },
    )
    .restart()
    .about(
        "The capacity of the queue of uses. Uses beyond it are dropped and counted; the \
         next use of the key is queued again.",
    ),
    public(
        "last_used.flush_size",
        Fallback::Value("100"),
        Kind::Integer {
            min: 1,
            max: QUEUE_MAX,
            set: |s, keys| s.last_used.flush_size = number::to_usize(keys),
        },
    )
    .restart()
    .about("The number of keys in one write. A write begins when this many keys wait."),
    public(
        "last_used.flush_interval",
        Fallback::Value("30s"),
        Kind::Duration {
            min: INTERVAL_MIN,
            max: INTERVAL_MAX,
            set: |s, interval| s.last_used.flush_interval = interval,
        },
    )
    .restart()
    .about(
        "The longest that a use waits to be written; last_used_time lags by at most this. \
         A clean stop writes all uses; a crash may lose the uses of this time.",
    ),
    public(
        "last_used.num_workers",
        Fallback::Value("4"),
        Kind::Integer {
            min: 1,
            max: WORKERS_MAX,
            set: |s, workers| s.last_used.num_workers = number::to_usize(workers),
        },
    )
    .restart()
    .about(
        "The most concurrent writes. This release writes with one thread, whatever the \
         limit.",
    ),
];
