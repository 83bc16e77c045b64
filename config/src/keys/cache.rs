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
    ),
    public(
        "cache.enabled",
        Fallback::Value("true"),
        Kind::Boolean {
            set: |s, enabled| s.cache.enabled = enabled,
        },
    ),
    public(
        "cache.ttl",
        Fallback::Value("5m"),
        Kind::DurationOrNone {
            min: TTL_MIN,
            max: TTL_MAX,
            set: |s, ttl| s.cache.ttl = ttl,
        },
    ),
    public(
        "cache.memory.max_size",
        Fallback::Value("104857600"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.cache.memory_bytes_max = number::to_usize(bytes),
        },
    ),
    // The cache of another server needs it. This one counts bytes.
    public(
        "cache.memory.num_counters",
        Fallback::Value("10000"),
        Kind::Integer {
            min: 0,
            max: u64::MAX,
            set: |_, _| {},
        },
    ),
];
