//! Every bound of the engine, in one place.

/// Commands that may wait for the committer; beyond it a command is refused as busy.
pub const COMMIT_QUEUE_COMMANDS: usize = 4096;
/// Commands made durable by one sync.
pub const COMMIT_GROUP_COMMANDS: usize = 1024;
/// Reads that may wait for a disk thread.
pub const DISK_QUEUE_READS: usize = 1024;
/// Threads that read records from disk when they are not in memory.
pub const DISK_THREADS: usize = 4;
/// The longest credential that is looked at, in bytes.
pub const CREDENTIAL_BYTES: usize = 8192;
/// The most shards a database may have; a power of two.
pub const SHARDS_MAX: u16 = 256;

const _: () = assert!(SHARDS_MAX.is_power_of_two());
const _: () = assert!(COMMIT_GROUP_COMMANDS <= COMMIT_QUEUE_COMMANDS);
