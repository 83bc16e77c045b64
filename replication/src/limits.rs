//! Every bound of replication, in one place.

use std::time::Duration;

/// The oldest version of the protocol that this release speaks.
pub const VERSION_MIN: u16 = 1;
/// The newest version of the protocol that this release speaks.
pub const VERSION_MAX: u16 = 1;

/// The longest frame before the other side has proven who it is, in bytes without the frame's head.
pub const HANDSHAKE_FRAME_BYTES: usize = 256;
/// The longest frame afterwards, in bytes without the frame's head.
pub const FRAME_BYTES: usize = 4 << 20;
/// The longest change, in bytes: a key with all its fields at their longest takes less than a quarter.
pub const CHANGE_BYTES: usize = 1 << 20;
/// Bytes of changes after which a batch ends; one more change may follow what is just below.
pub const BATCH_BYTES: usize = 256 << 10;
/// Changes of one batch.
pub const BATCH_CHANGES: usize = 4096;
/// Bytes of rows after which a chunk of a full copy ends.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Rows of one chunk.
pub const CHUNK_ROWS: usize = 8192;
/// The longest key of a row.
pub const ROW_KEY_BYTES: usize = 1024;
/// The longest value of a row.
pub const ROW_VALUE_BYTES: usize = CHANGE_BYTES;
/// Epochs that a node remembers. Each is a promotion; the oldest are forgotten first.
pub const HISTORY_EPOCHS: usize = 256;
/// Lists of last uses that wait until a replica sends them.
pub const LAST_USED_QUEUE: usize = 4;
/// Stamps of last uses in one frame.
pub const LAST_USED_ENTRIES: usize = 4096;
/// The longest key of an entry.
pub const LAST_USED_KEY_BYTES: usize = 64;
/// Secrets that a node accepts besides its own, so that a secret can be replaced node by node.
pub const SECRETS_RETIRED: usize = 8;
/// The shortest shared secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;

/// Pieces of work that a replica's storage may have waiting before no more is read from the connection.
pub const REPLICA_WORK: usize = 8;
/// For so long a copy that nobody reads is kept, even when another one is wanted: twice the longest pause before a replica calls
/// again. A replica that never comes back keeps others waiting no longer.
pub const COPY_IDLE: Duration = Duration::from_millis(2 * BACKOFF_MS_MAX);
/// Times in a row that a feed may break off at the same place before the replica asks for a full copy instead.
pub const GAPS_IN_A_ROW: u32 = 3;
/// Promises of freshness that a replica keeps until it has applied what they speak of.
pub const PROMISES: usize = 64;
/// Writes that may wait for replicas.
pub const WAITING_WRITES: usize = 16_384;
/// Connections at a time whose other side has not proven yet who it is; further ones wait.
pub const HANDSHAKES: usize = 32;
/// Replicas that a primary keeps account of, and feeds.
pub const REPLICAS: usize = 256;

/// Milliseconds in which a connection has to get through the handshake.
pub const HANDSHAKE_MS: u64 = 5_000;
/// Milliseconds between two heartbeats of either side.
pub const HEARTBEAT_MS: u64 = 250;
/// Milliseconds of silence after which a connection is given up.
pub const SILENCE_MS: u64 = 5_000;
/// Milliseconds before the first attempt to connect again.
pub const BACKOFF_MS_MIN: u64 = 100;
/// Milliseconds between two attempts to connect, at most.
pub const BACKOFF_MS_MAX: u64 = 10_000;

/// Bytes that go around the fields of a message: kind, position, counts and lengths of the largest kind, and the seal.
const MESSAGE_OVERHEAD_BYTES: usize = 4096;

const _: () = assert!(VERSION_MIN <= VERSION_MAX);
const _: () =
    assert!(BATCH_BYTES + CHANGE_BYTES + 4 * BATCH_CHANGES + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(
    CHUNK_BYTES + ROW_KEY_BYTES + ROW_VALUE_BYTES + 10 * CHUNK_ROWS + MESSAGE_OVERHEAD_BYTES
        <= FRAME_BYTES
);
const _: () =
    assert!(LAST_USED_ENTRIES * (LAST_USED_KEY_BYTES + 12) + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(HISTORY_EPOCHS * 32 + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(HEARTBEAT_MS * 4 <= SILENCE_MS);
const _: () = assert!(BACKOFF_MS_MIN <= BACKOFF_MS_MAX);
