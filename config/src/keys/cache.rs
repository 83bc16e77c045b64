//! `cache`: which keys are kept in memory, and for how long.

use std::time::Duration;

use super::number::{self, MEMORY_MAX, MEMORY_MIN};
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::settings::CacheType;

const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(24 * 3600);

pub(super) const KEYS: &[Key] = &[
    public(
        "cache.type",
        Fallback::Value("memory"),
        Kind::Choice(&[
            ("memory", |s| s.cache.cache_type = CacheType::Memory),
            ("noop", |s| s.cache.cache_type = CacheType::Noop),
            ("redis", |s| s.cache.cache_type = CacheType::Redis),
        ]),
    )
    .restart()
    .about(
        "memory, or noop = every verification reads storage. redis is memory, with a \
         warning: this node answers from its own copy of the keys.",
    ),
    public(
        "cache.enabled",
        Fallback::Value("true"),
        Kind::Boolean {
            set: |s, enabled| s.cache.enabled = enabled,
        },
    )
    .restart()
    .about("false = as type noop.")
    .example("false"),
    public(
        "cache.ttl",
        Fallback::Value("5m"),
        Kind::DurationOrNone {
            min: TTL_MIN,
            max: TTL_MAX,
            set: |s, ttl| s.cache.ttl = ttl,
        },
    )
    .about(
        "After this time a key is read from storage again; 0 or less = as type noop. A \
         revocation takes effect at once in any case.",
    ),
    public(
        "cache.memory.max_size",
        Fallback::Unset("104857600, less where memory is scarce"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.cache.memory_bytes_max = number::to_usize(bytes),
        },
    )
    .restart()
    .about("The memory limit for keys, in bytes.")
    .example("256 MiB"),
    // The cache of another server needs it. This one counts bytes.
    public(
        "cache.memory.num_counters",
        Fallback::Value("10000"),
        Kind::Integer {
            min: 0,
            max: u64::MAX,
            set: |_, _| {},
        },
    )
    .about("Without effect; for configurations that were written for other servers."),
];
