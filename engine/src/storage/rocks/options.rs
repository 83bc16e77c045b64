//! How RocksDB is set up: for point look-ups of small records, and for never losing what was acknowledged.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, DataBlockIndexType, Options,
    ReadOptions, ReadTier, WriteOptions,
};

use super::used;
use crate::limits::{ROCKSDB_OPEN_FILES, WAL_BYTES, WRITE_BUFFER_BYTES};

/// Bits of bloom filter per key: one key in a hundred that is not there costs a read.
const BLOOM_BITS: f64 = 10.0;
/// Of a memtable, for its own bloom filter.
const MEMTABLE_BLOOM_RATIO: f64 = 0.02;
const BLOCK_BYTES: usize = 4096;
/// A file of the index is compacted when so many of so many neighbouring entries are deletions.
const INDEX_DELETIONS: usize = 1024;
const INDEX_WINDOW_ENTRIES: usize = 4096;
/// Of one key, before they become one: whoever shows the key goes through all of them. A memtable of a server with few keys is
/// not written out for weeks.
const USED_NOTES_MAX: usize = 16;

/// The options of the whole database.
pub fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    // A torn tail is what a power cut leaves of a group that was never acknowledged: it is dropped. A missing or shortened
    // log that the manifest knows of is refused, and `recovery.rs` compares what is left with the witness.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    // All column families share the log; an idle one would pin old files for ever without this.
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_db_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_open_files(ROCKSDB_OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 << 20);
    options
}

/// The options of a column family of records: whole-key bloom filters that stay in memory, a hash index inside blocks.
pub fn records(block_cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(block_cache);
    table.set_block_size(BLOCK_BYTES);
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_whole_key_filtering(true);
    // Filters and indexes live outside the cache, so that a flood of unknown keys can be answered without a disk.
    table.set_cache_index_and_filter_blocks(false);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
    options.set_memtable_whole_key_filtering(true);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// The options of the family that holds when keys were last used: read like records, written without a read.
pub fn used(block_cache: &Cache) -> Options {
    let mut options = records(block_cache);
    options.set_merge_operator_associative("latest", |_, noted, notes| {
        Some(used::latest(noted, notes))
    });
    options.set_max_successive_merges(USED_NOTES_MAX);
    options
}

/// The options of the index: read in order, and freed of deleted entries soon. Where most keys of a tenant are revoked, a page
/// of its active keys would otherwise go over the remains of all others.
pub fn index(block_cache: &Cache) -> Options {
    let mut options = ordered(block_cache);
    // The last number is a share of all entries of a file, and 0 turns that off: where deletions are scattered they cost little.
    options.add_compact_on_deletion_collector_factory(INDEX_WINDOW_ENTRIES, INDEX_DELETIONS, 0.0);
    // A file that meets no older one is moved down as it is, deletions and all, where the compression of both levels is the same.
    options.set_compression_per_level(&[DBCompressionType::None, DBCompressionType::Lz4]);
    options
}

/// The options of the change log: read in order.
pub fn ordered(block_cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(block_cache);
    table.set_block_size(4 * BLOCK_BYTES);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

/// Reads that never wait for a disk: what is not in memory comes back as `Incomplete`.
pub fn memory_reads() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_read_tier(ReadTier::BlockCache);
    options
}

/// Writes that are on disk when they return. RocksDB's default is not.
pub fn synced_writes() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
