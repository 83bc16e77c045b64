//! The memory of RocksDB: one block cache and one budget of memtables for all column families. Both
//! outlive the database, so that reopening it does not double them.

use rocksdb::{BlockBasedOptions, Cache, Options, WriteBufferManager};

use crate::limits::{WAL_BYTES, WAL_BYTES_MIN};

/// Memtables of one family are written to a file at this size at the latest, in bytes.
const MEMTABLE_BYTES_MAX: usize = 64 << 20;
/// Memtables grow by blocks of this size, in bytes: at most this, and less where the budget is
/// small, because each family has a block at least.
const ARENA_BLOCK_BYTES_MAX: usize = 1 << 20;
const ARENA_BLOCK_BYTES_MIN: usize = 16 << 10;
/// Data files, in bytes. Compactions need memory for the files that they write.
const FILE_BYTES_MAX: u64 = 64 << 20;
const FILE_BYTES_MIN: u64 = 8 << 20;
/// The first level that is sorted, in bytes.
const LEVEL_BYTES_MAX: u64 = 256 << 20;
const LEVEL_BYTES_MIN: u64 = 32 << 20;

/// How much memory the database gets.
#[derive(Clone, Copy, Debug)]
pub struct StorageSizes {
    /// Blocks of data files, in bytes.
    pub block_cache_bytes: usize,
    /// Memtables of all families together, in bytes.
    pub write_buffer_bytes: usize,
    /// Where the indexes and bloom filters of data files are.
    pub table_memory: TableMemory,
}

/// Where the indexes and bloom filters of data files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMemory {
    /// All of them in memory, beside the block cache: some four bytes for each key. A flood of
    /// unknown keys is answered without disk reads.
    Beside,
    /// In the block cache, which then bounds them.
    InBlockCache,
}

/// The memory that the database uses, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageUse {
    /// Blocks of data files.
    pub block_cache: u64,
    /// Memtables.
    pub write_buffer: u64,
    /// Indexes and bloom filters beside the block cache.
    pub tables: u64,
}

/// The memory of one database.
#[derive(Clone)]
pub struct StorageMemory {
    sizes: StorageSizes,
    cache: Cache,
    buffers: WriteBufferManager,
}

impl StorageMemory {
    /// Makes the cache and the budget.
    pub fn new(sizes: StorageSizes) -> Self {
        Self {
            sizes,
            cache: Cache::new_lru_cache(sizes.block_cache_bytes),
            // Writes do not wait for memory: on a full disk they would wait for ever.
            buffers: WriteBufferManager::new_write_buffer_manager(sizes.write_buffer_bytes, false),
        }
    }

    /// What is in use of the cache and of the budget.
    pub fn used(&self) -> StorageUse {
        StorageUse {
            block_cache: self.cache.get_usage() as u64,
            write_buffer: self.buffers.get_usage() as u64,
            tables: 0,
        }
    }

    /// Bounds the memory of a whole database.
    pub fn bound(&self, options: &mut Options) {
        options.set_write_buffer_manager(&self.buffers);
        // All column families share the log. Without this, an idle one would keep old log files for
        // ever. A start reads the whole log.
        let twice = 2 * self.sizes.write_buffer_bytes as u64;
        options.set_max_total_wal_size(twice.clamp(WAL_BYTES_MIN, WAL_BYTES));
    }

    /// Bounds the memory of a column family.
    pub fn bound_family(&self, options: &mut Options) {
        let budget = self.sizes.write_buffer_bytes;
        options.set_write_buffer_size((budget / 2).min(MEMTABLE_BYTES_MAX));
        let block = (budget / 128).clamp(ARENA_BLOCK_BYTES_MIN, ARENA_BLOCK_BYTES_MAX);
        options.set_arena_block_size(block);
        let budget = budget as u64;
        options.set_target_file_size_base(budget.clamp(FILE_BYTES_MIN, FILE_BYTES_MAX));
        options.set_max_bytes_for_level_base((2 * budget).clamp(LEVEL_BYTES_MIN, LEVEL_BYTES_MAX));
    }

    /// Bounds the memory for the data files of a column family.
    pub fn bound_tables(&self, table: &mut BlockBasedOptions) {
        table.set_block_cache(&self.cache);
        let is_in_cache = self.sizes.table_memory == TableMemory::InBlockCache;
        table.set_cache_index_and_filter_blocks(is_in_cache);
        table.set_pin_l0_filter_and_index_blocks_in_cache(is_in_cache);
    }
}
