//! `db`: where keys are stored.

use std::time::Duration;

use talos_model::limits::SHARDS_MAX;

use super::number::{self, MEMORY_MAX, MEMORY_MIN};
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

/// The least memory for changes that are not yet in data files. With less, RocksDB would write a
/// file for every few changes.
const WRITE_BUFFER_MIN: u64 = 1 << 20;
/// The most of it. A start reads as much from the write-ahead log.
const WRITE_BUFFER_MAX: u64 = 4 << 30;
const FAILURE_TIMEOUT_MIN: Duration = Duration::from_secs(1);
const FAILURE_TIMEOUT_MAX: Duration = Duration::from_secs(24 * 3600);

pub(super) const KEYS: &[Key] = &[
    // Sensitive, because people may paste the DSN of another database here, with its password.
    secret(
        "db.dsn",
        Fallback::Value("rocksdb://./talos-data"),
        Kind::DataDirectory {
            set: |s, directory| s.db.directory = directory,
        },
    )
    .restart()
    .about(
        "The data directory of the embedded engine. It is created if it is missing. \
         sqlite://PATH and sqlite3://PATH are the directory PATH.rocksdb.",
    )
    .example("rocksdb:///var/lib/talos"),
    public(
        "db.shards",
        Fallback::Unset("one per core, rounded up to a power of two"),
        Kind::PowerOfTwo {
            max: SHARDS_MAX as u64,
            set: |s, shards| s.db.shards = Some(number::to_u16(shards)),
        },
    )
    .restart()
    .about("The number of shards of a new database. An existing database keeps its number.")
    .example("16"),
    public(
        "db.block_cache_size",
        Fallback::Unset("256 MiB, less where memory is scarce"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.db.block_cache_bytes = number::to_usize(bytes),
        },
    )
    .restart()
    .about(
        "Memory for blocks of the data files (RocksDB's block cache). See docs/memory.md for the \
         sizes that fit into a memory limit.",
    )
    .example("256 MiB"),
    public(
        "db.write_buffer_size",
        Fallback::Unset("128 MiB, less where memory is scarce"),
        Kind::Bytes {
            min: WRITE_BUFFER_MIN,
            max: WRITE_BUFFER_MAX,
            set: |s, bytes| s.db.write_buffer_bytes = number::to_usize(bytes),
        },
    )
    .restart()
    .about("Memory for changes that are not yet in data files (RocksDB's memtables).")
    .example("128 MiB"),
    public(
        "db.failure_timeout",
        Fallback::Value("10m"),
        Kind::DurationOrNone {
            min: FAILURE_TIMEOUT_MIN,
            max: FAILURE_TIMEOUT_MAX,
            set: |s, timeout| s.db.failure_timeout = timeout,
        },
    )
    .restart()
    .about(
        "After a disk was full, writes go on by themselves. After any other failed write they stay \
         stopped until a restart, and after this time /health/alive answers 503, so that a \
         supervisor restarts the server. 0 = it never does.",
    ),
];
