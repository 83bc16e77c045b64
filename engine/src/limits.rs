//! Every bound of the engine, in one place.

use std::time::Duration;

use talos_model::ReadLimits;

/// Commands that may wait for the committing thread. Further commands are refused as busy.
pub const COMMIT_QUEUE_COMMANDS: usize = 4096;
/// Callbacks that may wait for new changes.
pub const HEAD_WATCHERS: usize = 256;
/// Rows that are read at once for a backup. They make up one part of it.
pub const BACKUP_ROWS_AT_ONCE: ReadLimits = ReadLimits {
    entries: 4096,
    bytes: 64 * 1024,
};
/// Changes that a restore takes from an old log at once.
pub const RESTORE_CHANGES_AT_ONCE: ReadLimits = ReadLimits {
    entries: 4096,
    bytes: 4 << 20,
};
/// Commands made durable by one sync.
pub const COMMIT_GROUP_COMMANDS: usize = 1024;
/// Reads that may wait for a disk thread.
pub const DISK_QUEUE_READS: usize = 1024;
/// Threads that read records from disk for verifications.
pub const DISK_THREADS: usize = 4;
/// Threads that read records and pages for everything else, so that lists do not delay
/// verifications.
pub const ADMIN_DISK_THREADS: usize = 2;

const _: () = assert!(COMMIT_GROUP_COMMANDS <= COMMIT_QUEUE_COMMANDS);
/// Bytes of write-ahead log before memtables are flushed.
pub const WAL_BYTES: u64 = 256 << 20;
/// Bytes of memtables of all column families together.
pub const WRITE_BUFFER_BYTES: usize = 128 << 20;
/// Files that RocksDB keeps open. Most of the process's file descriptors are for connections.
pub const ROCKSDB_OPEN_FILES: i32 = 1024;
/// Changes at the end of the log that are compared with their records when a database opens.
pub const RECOVERY_CHECKED_CHANGES: usize = 1024;
/// Bytes of records after which a page of keys ends, whatever its limit: 1000 keys may have 64 MiB
/// of metadata.
pub const LIST_PAGE_BYTES: usize = 4 << 20;
/// Records of a page that are read at once. With records of the largest size these take 8 MiB,
/// which a page may read beyond [`LIST_PAGE_BYTES`].
pub const LIST_RECORDS_AT_ONCE: usize = 128;
/// Deleted entries of the index that a page may pass, which takes about 1 ms. With more, the page
/// has them written to a file, which RocksDB then compacts.
pub const LIST_DELETED_ENTRIES: u64 = 8192;
/// Entries of the index that a page may pass in the search for keys that have reached their
/// greatest age before their expiry time. It takes about 10 ms. The page then ends, with what it
/// has.
pub const LIST_PASSED_ENTRIES: usize = 16_384;
/// Entries of the index that are passed to count the keys of a missing secret. It takes about a
/// second.
pub const MADE_KEYS_PASSED: u64 = 1_000_000;
/// How long changes stay in the log, in milliseconds: a week.
pub const LOG_RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;
/// Approximate maximum size of the change log in bytes.
pub const LOG_RETENTION_BYTES: u64 = 1 << 30;
/// Changes between two trims of the log.
pub const LOG_TRIM_CHANGES: u64 = 1 << 16;
/// Buckets of each table that one step of the CLOCK eviction visits.
pub const SWEEP_BUCKETS: usize = 4;
/// Maximum number of such steps for one insertion into a full cache.
pub const SWEEPS_MAX: usize = 64;
/// Bytes of cells and proofs per slot of the tables that find them. A slot takes 40 bytes. With
/// keys of the usual size a table is then between a third and two thirds full.
pub const CACHE_BYTES_PER_SLOT: usize = 512;
/// From this number of proofs on, a batch prefetches the memory that its next credentials need.
/// Such proofs and the data they refer to take about 3 MB. Fewer proofs fit into the processor's
/// caches, and prefetching would cost more than it saves.
pub const PROOFS_FETCHED_AHEAD: usize = 4096;
/// Keys whose rate limits can be counted at a time. The slots take 2 MiB, and about 30 MiB when all
/// are in use.
pub const RATE_LIMIT_SLOTS: usize = 1 << 18;
/// Keys that the warm-up after a start brings into the cells at once, which takes one to two
/// milliseconds of a core.
pub const WARM_UP_KEYS_AT_ONCE: usize = 256;
/// Pause of the warm-up after so many keys.
pub const WARM_UP_REST: Duration = Duration::from_micros(200);
/// Percentage of the memory for cells that the warm-up fills. The rest is for keys in use, which
/// also need proofs.
pub const WARM_UP_PERCENT: usize = 70;
/// Bulk revocations that may be in force at a time. A verification compares its cached key with
/// each newer bulk revocation.
pub const BULK_REVOCATIONS: usize = 32;
/// Keys that are read at once in the search for keys that a bulk revocation ends.
pub const BULK_REVOCATION_WALK_KEYS: usize = 256;
/// Revoked keys of a bulk revocation that one command writes. It takes the committing thread one or
/// two milliseconds.
pub const BULK_REVOCATION_KEYS_AT_ONCE: usize = 64;
/// The longest pause after such a command.
pub const BULK_REVOCATION_REST_MAX: Duration = Duration::from_millis(100);
/// Pause before such a command is sent again after it was refused because the queue was full.
pub const BULK_REVOCATION_BUSY_REST: Duration = Duration::from_millis(20);
/// Pause before a bulk revocation is continued after a failed read.
pub const BULK_REVOCATION_RETRY: Duration = Duration::from_secs(5);
/// Counts of the keys that a bulk revocation would end, as in a dry run, that may run at a time.
pub const BULK_REVOCATION_COUNTS: usize = 2;
/// Ranges of the index that one page of keys may read while bulk revocations are in force, because
/// these may filter out most keys of a range.
pub const LIST_RANGES: usize = 64;
