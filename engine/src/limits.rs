//! Every bound of the engine, in one place.

use std::time::Duration;

use talos_model::ReadLimits;

/// Commands that may wait for the committer; beyond it a command is refused as busy.
pub const COMMIT_QUEUE_COMMANDS: usize = 4096;
/// Who may be called when there are new changes.
pub const HEAD_WATCHERS: usize = 256;
/// RecordReader of a backup that are read at once, and are one part of it.
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
/// Threads that read records from disk for verifications, when they are not in memory.
pub const DISK_THREADS: usize = 4;
/// Threads that read records and pages for everybody else, so that no list keeps a verification waiting.
pub const ADMIN_DISK_THREADS: usize = 2;

const _: () = assert!(COMMIT_GROUP_COMMANDS <= COMMIT_QUEUE_COMMANDS);
/// Bytes of write-ahead log that are kept before memtables are flushed.
pub const WAL_BYTES: u64 = 256 << 20;
/// Bytes of memtables of all column families together.
pub const WRITE_BUFFER_BYTES: usize = 128 << 20;
/// Files that RocksDB keeps open: well below what a process may open, since connections need most of it.
pub const ROCKSDB_OPEN_FILES: i32 = 1024;
/// Changes at the end of the log that are compared with their records when a database opens.
pub const RECOVERY_CHECKED_CHANGES: usize = 1024;
/// Bytes of records after which a page of keys ends, however many were asked for: 1000 keys may have 64 MiB of metadata.
pub const LIST_PAGE_BYTES: usize = 4 << 20;
/// Records of a page that are read at once. With the largest ones that is 8 MiB more than a page may have.
pub const LIST_RECORDS_AT_ONCE: usize = 128;
/// Deleted entries of the index over which a page may go, about 1 ms, before they are written to a file, and so compacted.
pub const LIST_DELETED_ENTRIES: u64 = 8192;
/// Milliseconds for which changes stay in the log: a week.
pub const LOG_RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;
/// Bytes that the change log may take, about.
pub const LOG_RETENTION_BYTES: u64 = 1 << 30;
/// Changes after which the committer looks whether the log has grown too long.
pub const LOG_TRIM_CHANGES: u64 = 1 << 16;
/// Buckets of each table over which the clock's hand moves for one insertion into a full cache.
pub const SWEEP_BUCKETS: usize = 4;
/// The most such moves for one insertion.
pub const SWEEPS_MAX: usize = 64;
/// Bytes of cells and proofs per slot of the tables that find them, which take 40 bytes for each: with keys of the usual size
/// a table is then between a third and two thirds full.
pub const CACHE_BYTES_PER_SLOT: usize = 512;
/// From so many proofs on, about 3 MB with all they lead to, memory is asked for what the next credentials of a batch need. Fewer are in
/// the processor's caches if they are used at all, and asking would cost more than it spares.
pub const PROOFS_FETCHED_AHEAD: usize = 4096;
/// Places for keys whose rate limit is counted: 2 MiB, and about 30 MiB when all are taken.
pub const RATE_LIMIT_SLOTS: usize = 1 << 18;
/// Keys that are brought into the cells at once after a start.
pub const WARM_UP_KEYS_AT_ONCE: usize = 256;
/// After each such stretch, which takes one to two milliseconds of a core.
pub const WARM_UP_REST: Duration = Duration::from_micros(200);
/// Of the memory for cells, in percent. The rest is left to what is used and needs proofs besides.
pub const WARM_UP_PERCENT: usize = 70;
/// Bulk revocations that may be in force at a time. Each verification of a row that is older than a bulk revocation compares the two.
pub const BULK_REVOCATIONS: usize = 32;
/// Keys that are read at once by whoever looks for those that a bulk revocation ends.
pub const BULK_REVOCATION_WALK_KEYS: usize = 256;
/// Keys that a bulk revocation has ended and that are written by one command: one or two milliseconds of the committing thread.
pub const BULK_REVOCATION_KEYS_AT_ONCE: usize = 64;
/// The longest rest after such a command.
pub const BULK_REVOCATION_REST_MAX: Duration = Duration::from_millis(100);
/// Before such a command is tried again that the full queue did not take.
pub const BULK_REVOCATION_BUSY_REST: Duration = Duration::from_millis(20);
/// Before a bulk revocation is followed again after something could not be read.
pub const BULK_REVOCATION_RETRY: Duration = Duration::from_secs(5);
/// KeyCounter of the keys that a bulk revocation would end that may be under way at a time.
pub const BULK_REVOCATION_COUNTS: usize = 2;
/// Ranges of the index that are read for one page of keys while bulk revocations are in force, which may leave little of each.
pub const LIST_RANGES: usize = 64;
