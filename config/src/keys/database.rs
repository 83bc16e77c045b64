//! `db`: where keys are stored.

use talos_model::limits::SHARDS_MAX;

use super::number::{self, MEMORY_MAX, MEMORY_MIN};
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;

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
        Fallback::Value("256 MiB"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.db.block_cache_bytes = number::to_usize(bytes),
        },
    )
    .restart()
    .about("Memory for blocks of the data files (RocksDB's block cache)."),
];
