//! All limits of replication.

use std::time::Duration;

use talos_model::limits::{ACCEPTED_VALUE_BYTES, ACCEPTED_VALUES};

/// The oldest protocol version that this release supports.
pub const VERSION_MIN: u16 = 1;
/// The newest protocol version that this release supports.
pub const VERSION_MAX: u16 = 2;
/// The first protocol version in which nodes show each other what they accept.
pub const VERSION_WITH_ACCEPTANCE: u16 = 2;

/// The longest frame during the handshake, in bytes without the frame's head.
pub const HANDSHAKE_FRAME_BYTES: usize = 256;
/// The longest frame after the handshake, in bytes without the frame's head.
pub const FRAME_BYTES: usize = 4 << 20;
/// The longest change, in bytes. A key with all fields at their maximum takes less than a quarter
/// of it.
pub const CHANGE_BYTES: usize = 1 << 20;
/// A batch ends after this many bytes of changes. The last change may exceed it.
pub const BATCH_BYTES: usize = 256 << 10;
/// The most changes in one batch.
pub const BATCH_CHANGES: usize = 4096;
/// A chunk of a full copy ends after this many bytes of rows.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The most rows in one chunk.
pub const CHUNK_ROWS: usize = 8192;
/// The longest key of a row.
pub const ROW_KEY_BYTES: usize = 1024;
/// The longest value of a row.
pub const ROW_VALUE_BYTES: usize = CHANGE_BYTES;
/// Epochs that a node remembers. Each is a promotion; the oldest are forgotten first.
pub const HISTORY_EPOCHS: usize = talos_model::limits::EPOCH_HISTORY_EPOCHS;
/// Lists of last uses that may wait until a replica sends them.
pub const LAST_USED_QUEUE: usize = 4;
/// The most last uses in one frame.
pub const LAST_USED_ENTRIES: usize = 4096;
/// The longest key of an entry.
pub const LAST_USED_KEY_BYTES: usize = 64;
/// The most settings that nodes compare.
pub const ACCEPTED_SETTINGS: usize = 6;
/// The longest name of such a setting, in bytes.
pub const ACCEPTED_NAME_BYTES: usize = 128;
/// Secrets that a node accepts in addition to its own, so that a secret can be replaced node by
/// node.
pub const SECRETS_RETIRED: usize = 8;
/// The shortest shared secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;

/// Storage jobs that may wait at a replica. With this many it reads no more from the connection.
pub const REPLICA_WORK: usize = 8;
/// How long an unread copy is kept while another one is requested: twice the longest pause before a
/// replica connects again. A replica that never returns blocks others no longer than that.
pub const COPY_IDLE: Duration = Duration::from_millis(2 * BACKOFF_MS_MAX);
/// Gaps in a row at the same place after which a replica asks for a full copy.
pub const GAPS_IN_A_ROW: u32 = 3;
/// Promises of freshness that a replica keeps until it has applied their changes.
pub const PROMISES: usize = 64;
/// Writes that may wait for replicas at the same time.
pub const WAITING_WRITES: usize = 16_384;
/// Connections that may be in the handshake at the same time. A further one takes the place of
/// another.
pub const HANDSHAKES: usize = 64;
/// Of these, the connections from one address.
pub const HANDSHAKES_PER_ADDRESS: usize = 16;
/// Connections from addresses that are not allowed are logged at most once in this time, in
/// milliseconds.
pub const OUTSIDERS_LOG_INTERVAL_MS: u64 = 10_000;
/// Replicas that a primary tracks and feeds.
pub const REPLICAS: usize = 256;

/// Milliseconds until a connecting node must have greeted.
pub const GREETING_MS: u64 = 1_000;
/// Milliseconds that a handshake may take.
pub const HANDSHAKE_MS: u64 = 5_000;
/// Milliseconds between two heartbeats of either side.
pub const HEARTBEAT_MS: u64 = 250;
/// A connection is closed after this many milliseconds of silence.
pub const SILENCE_MS: u64 = 5_000;
/// The first pause before connecting again, in milliseconds.
pub const BACKOFF_MS_MIN: u64 = 100;
/// The longest pause before connecting again, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 10_000;

/// Bytes of a message besides its variable fields: kind, position, counts and lengths of the
/// largest kind, and the seal.
const MESSAGE_OVERHEAD_BYTES: usize = 4096;

const _: () = assert!(VERSION_MIN <= VERSION_MAX);
const _: () = assert!(HANDSHAKES_PER_ADDRESS < HANDSHAKES && GREETING_MS < HANDSHAKE_MS);
const _: () =
    assert!(BATCH_BYTES + CHANGE_BYTES + 4 * BATCH_CHANGES + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(
    CHUNK_BYTES + ROW_KEY_BYTES + ROW_VALUE_BYTES + 10 * CHUNK_ROWS + MESSAGE_OVERHEAD_BYTES
        <= FRAME_BYTES
);
const _: () =
    assert!(LAST_USED_ENTRIES * (LAST_USED_KEY_BYTES + 12) + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(HISTORY_EPOCHS * 32 + MESSAGE_OVERHEAD_BYTES <= FRAME_BYTES);
const _: () = assert!(
    ACCEPTED_SETTINGS * (ACCEPTED_NAME_BYTES + 8 + ACCEPTED_VALUES * (ACCEPTED_VALUE_BYTES + 4))
        + MESSAGE_OVERHEAD_BYTES
        <= FRAME_BYTES
);
const _: () = assert!(VERSION_WITH_ACCEPTANCE <= VERSION_MAX);
const _: () = assert!(HEARTBEAT_MS * 4 <= SILENCE_MS);
const _: () = assert!(BACKOFF_MS_MIN <= BACKOFF_MS_MAX);
