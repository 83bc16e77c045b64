//! The options of RocksDB: for point look-ups of small records, and for never losing an
//! acknowledged change.

use rocksdb::{
    BlockBasedOptions, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Options, ReadOptions,
    ReadTier, WriteOptions,
};

use super::memory::StorageMemory;
use super::used;
use crate::limits::ROCKSDB_OPEN_FILES;

/// Bits of bloom filter per key: one look-up of a missing key in a hundred reads the disk.
const BLOOM_BITS: f64 = 10.0;
/// Share of a memtable that its own bloom filter takes.
const MEMTABLE_BLOOM_RATIO: f64 = 0.02;
const BLOCK_BYTES: usize = 4096;
/// A file of the index is compacted when [`INDEX_DELETIONS`] of [`INDEX_WINDOW_ENTRIES`]
/// neighbouring entries are deletions.
const INDEX_DELETIONS: usize = 1024;
const INDEX_WINDOW_ENTRIES: usize = 4096;
/// Merges of one key in a memtable before RocksDB combines them. A read of the key goes through all
/// of them, and a server with few keys does not flush the memtable for weeks.
const USED_MERGES_MAX: usize = 16;

/// The options of the whole database.
pub fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A power cut can leave a torn group at the end of the log. It was never acknowledged and is
    // dropped. RocksDB refuses a log that is missing or shorter than the manifest says, and
    // `recovery.rs` compares the rest with the witness.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_max_open_files(ROCKSDB_OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

/// The options of the whole database, with its memory.
pub fn database_within(memory: &StorageMemory) -> Options {
    let mut options = database();
    memory.bound(&mut options);
    options
}

/// The options of a database that is only read.
pub fn reading() -> Options {
    let mut options = database();
    options.create_if_missing(false);
    options.create_missing_column_families(false);
    options
}

/// The options of a column family of records: whole-key bloom filters, and a hash index in each
/// block.
pub fn records(memory: &StorageMemory) -> Options {
    let mut table = BlockBasedOptions::default();
    memory.bound_tables(&mut table);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_whole_key_filtering(true);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_format_version(6);
    let mut options = Options::default();
    memory.bound_family(&mut options);
    options.set_block_based_table_factory(&table);
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    options.set_memtable_whole_key_filtering(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// The options of the family of times of last use: read like records, written without a read.
pub fn used(memory: &StorageMemory) -> Options {
    let mut options = records(memory);
    options.set_merge_operator_associative("latest", |_, stored, written| {
        Some(used::latest(stored, written))
    });
    options.set_max_successive_merges(USED_MERGES_MAX);
    options
}

/// The options of the index: read in order, and compacted soon after deletions. Otherwise, where
/// most keys of a tenant are revoked, a page of its active keys would pass the deleted entries of
/// all others.
pub fn index(memory: &StorageMemory) -> Options {
    let mut options = ordered(memory);
    // The last argument would also compact files by their total share of deletions. 0 turns that
    // off, because scattered deletions cost little.
    options.add_compact_on_deletion_collector_factory(INDEX_WINDOW_ENTRIES, INDEX_DELETIONS, 0.0);
    // RocksDB moves a file that overlaps no other to the next level without removing its deletions,
    // unless the compression of the levels differs.
    options.set_compression_per_level(&[DBCompressionType::None, DBCompressionType::Lz4]);
    options
}

/// The options of the change log: read in order.
pub fn ordered(memory: &StorageMemory) -> Options {
    let mut table = BlockBasedOptions::default();
    memory.bound_tables(&mut table);
    table.set_block_size(4 * BLOCK_BYTES);
    let mut options = Options::default();
    memory.bound_family(&mut options);
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

/// Reads that never wait for the disk. They fail with `Incomplete` when the value is not in memory.
pub fn memory_reads() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(ReadTier::BlockCache);
    options
}

/// Writes that are on disk when they return. RocksDB's default does not sync.
pub fn synced_writes() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
