//! Every bound of the data plane, in one place.

use std::time::Duration;

/// How large the head of a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Request line and header fields together, in bytes; above it 431.
    pub bytes: usize,
    /// Header fields, at most [`HEADERS_MAX`]; above it 431.
    pub fields: usize,
    /// The request target, in bytes; above it 414.
    pub target: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            bytes: HEAD_BYTES,
            fields: HEADERS,
            target: TARGET_BYTES,
        }
    }
}

/// How large bodies may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimits {
    /// A request body, in bytes, at least [`UNKNOWN_BODY_BYTES`]; above it 413.
    pub bytes: usize,
    /// The body of a batch import, in bytes, at least `bytes`; above it 413.
    pub batch: usize,
    /// The results of one batch verification together, in bytes.
    pub batch_answer: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: BODY_BYTES,
            batch: BATCH_BODY_BYTES,
            batch_answer: BATCH_ANSWER_BYTES,
        }
    }
}

impl BodyLimits {
    /// How much is read and dropped after an error, in bytes, so that the client gets the answer
    /// and not a reset: more than any body that is accepted.
    #[must_use]
    pub fn dropped_after_error(&self) -> usize {
        self.batch.saturating_mul(2).max(LINGER_BYTES)
    }
}

/// Request line and header fields together, in bytes; above it 431.
pub const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of one request; above it 431.
pub const HEADERS: usize = 64;
/// The most header fields that [`HeadLimits`] can allow. Each takes 32 bytes of the stack.
pub const HEADERS_MAX: usize = 128;
/// The request target, in bytes; above it 414.
pub const TARGET_BYTES: usize = 8 * 1024;
/// The longest token of an administrator, in bytes. A longer one is refused without a look at it.
pub const TOKEN_BYTES: usize = 512;
/// The longest `X-Request-Id` that is echoed, in bytes; a longer one is replaced.
pub const REQUEST_ID_BYTES: usize = 128;

/// A request body, in bytes; above it 413.
pub const BODY_BYTES: usize = 1024 * 1024;
/// The body of a batch import, in bytes; above it 413.
pub const BATCH_BODY_BYTES: usize = 8 * 1024 * 1024;
/// A body for a path or a method that no route has, in bytes; a longer one is not read.
pub const UNKNOWN_BODY_BYTES: usize = 16 * 1024;
/// The memory of one worker for requests and answers beyond the first buffers of each connection,
/// in bytes; above it 503. A further quarter is for connections that hold at most
/// [`BUFFER_KEPT_BYTES`] each.
pub const MEMORY_BYTES: usize = 256 * 1024 * 1024;

/// The results of one batch verification together, in bytes. A result that does not fit is replaced
/// by an error.
pub const BATCH_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The size line of a chunk with its extensions, in bytes.
pub const CHUNK_LINE_BYTES: usize = 256;
/// Trailer fields after the last chunk, in bytes. They are read and ignored.
pub const TRAILER_BYTES: usize = 4 * 1024;

/// Connections of one worker. When all places are taken, connections that wait for their clients
/// are ended for new ones: first those that never had an answer. If there are none, new connections
/// wait in the listener's backlog.
pub const CONNECTIONS_PER_WORKER: usize = 8192;
/// Connections of one worker beyond these, which may only ask whether the server is healthy. They
/// are accepted while every other connection is busy. A further one takes the place of another.
pub const HEALTH_CONNECTIONS: usize = 32;
/// How long a worker must be full of busy connections before it accepts those. A connection that
/// asks nothing is displaced sooner.
pub const RESERVE_AFTER: Duration = Duration::from_millis(300);
/// At most one of so many places is cleared at a time.
pub const PLACES_SHARE: usize = 64;
/// Connections that the kernel queues until a worker accepts them.
pub const BACKLOG: i32 = 4096;
/// Workers of one server. Cores beyond this number stay free for other processes.
pub const WORKERS: usize = 256;

/// The initial size of a connection's buffers, in bytes. A verification fits.
pub const BUFFER_BYTES: usize = 4 * 1024;
/// A buffer that has grown beyond this size, in bytes, is freed when its large request or answer is
/// done.
pub const BUFFER_KEPT_BYTES: usize = 64 * 1024;
/// Answers to pipelined requests are sent when they reach this size, in bytes, even if more
/// requests wait.
pub const OUTPUT_BYTES: usize = 64 * 1024;
/// A TLS record as received, in bytes: 5 of the header, 2^14 of data, and 2,048 that TLS 1.2 allows
/// for encryption (RFC 5246 §6.2.3).
pub const TLS_RECORD_BYTES: usize = 5 + 16 * 1024 + 2048;
/// What TLS costs a connection besides its buffers for requests and answers, in bytes: one more
/// buffer of [`BUFFER_BYTES`] each way, and the state of rustls.
pub const TLS_CONNECTION_BYTES: usize = 2 * BUFFER_BYTES + 8 * 1024;
/// What is received of a handshake before it is processed, in bytes, where clients have
/// certificates. rustls takes messages of up to 64 KiB, in several records.
pub const TLS_HANDSHAKE_BYTES: usize = 66 * 1024;
/// How much of an answer is encrypted before it is sent, in bytes: four records.
pub const TLS_WRITE_BYTES: usize = 64 * 1024;
/// What encryption adds to that at most, in bytes.
pub const TLS_WRITE_OVERHEAD: usize = 256;
/// The least of [`BodyLimits::dropped_after_error`].
pub const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// How often a core checks for overdue connections and for a drain.
pub const TICK: Duration = Duration::from_millis(100);
/// A client that has closed its sending side still gets an answer, or the next chunk of one, that
/// takes no longer than this. Then its request gives its place in the control plane back.
pub const HUNG_UP: Duration = Duration::from_secs(2);
/// How long the accept loop pauses when the kernel has no descriptor or memory, or while the worker
/// is full and no connection can go.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long the accept loop pauses for connections to end that give up their places.
pub const PLACE_PAUSE: Duration = Duration::from_millis(1);
/// Accept errors, and connections that are refused, are logged at most once in this time.
pub const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How long cut connections may take to end after the deadline of a drain.
pub const CUT_GRACE: Duration = Duration::from_secs(1);

/// The longest pause between two requests.
pub const IDLE: Duration = Duration::from_secs(75);
/// The time from the first byte of a head to its last, and from accepting to the first byte.
pub const HEAD: Duration = Duration::from_secs(10);
/// The time from the end of a head to the end of its body.
pub const BODY: Duration = Duration::from_secs(60);
/// The time in which a body must bring [`BODY_PACE_BYTES`] or its end.
pub const BODY_PACE: Duration = Duration::from_secs(10);
/// What a body must bring in [`BODY_PACE`], in bytes.
pub const BODY_PACE_BYTES: usize = 32 * 1024;
/// When places are scarce, a connection that waits for its first request may wait for so long.
pub const STRANGER: Duration = Duration::from_millis(200);
/// When places are scarce, any other connection that waits for its client may wait for so long; the
/// same when memory is scarce.
pub const STALLED: Duration = Duration::from_secs(1);
/// The time from the first byte of a batch of answers to its last.
pub const WRITE: Duration = Duration::from_secs(30);
/// How long bytes are read and dropped after an error.
pub const LINGER: Duration = Duration::from_secs(2);

/// The most bytes of a host without its port (RFC 1035 §2.3.4).
pub const HOST_NAME_BYTES: usize = 253;

/// Lines of the log for refused credentials in a minute, for each tenant.
pub const LOGGED_FAILURES_PER_MINUTE: u32 = 10;
/// Counters of these lines.
pub const FAILURE_COUNTERS: usize = 64;
/// Buckets of the throttle, a power of two. Each takes 8 bytes and counts one client.
pub const THROTTLE_BUCKETS: usize = 1 << 16;
/// How often the throttle tries to change a bucket that other threads change.
pub const THROTTLE_ATTEMPTS: usize = 16;

const _: () = assert!(THROTTLE_BUCKETS.is_power_of_two() && HEADERS <= HEADERS_MAX);
const _: () = assert!(RESERVE_AFTER.as_millis() >= STRANGER.as_millis() + TICK.as_millis());
const _: () = assert!(TARGET_BYTES < HEAD_BYTES);
const _: () = assert!(BUFFER_BYTES <= BUFFER_KEPT_BYTES && UNKNOWN_BODY_BYTES <= BODY_BYTES);
const _: () = assert!(TLS_RECORD_BYTES <= TLS_HANDSHAKE_BYTES && BUFFER_BYTES < TLS_RECORD_BYTES);
const _: () = assert!(MEMORY_BYTES / BATCH_BODY_BYTES >= 16);
const _: () = assert!(BODY_BYTES <= BATCH_BODY_BYTES && BATCH_BODY_BYTES < LINGER_BYTES);
const _: () = assert!(TICK.as_millis() * 4 < LINGER.as_millis());
