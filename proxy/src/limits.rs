//! All bounds of the proxy.

use std::time::Duration;

/// The default of `--connections`: client connections at the same time.
pub const CONNECTIONS: usize = 8192;
/// The smallest value of `--connections`.
pub const CONNECTIONS_MIN: usize = 32;
/// The largest value of `--connections`.
pub const CONNECTIONS_MAX: usize = 262_144;
/// When all places are taken, connections that have not had an answer keep one of so many. They
/// include those of health checks.
pub(crate) const NEW_SHARE: usize = 16;
/// The default of `--head-timeout`: time for a client to send a request head, including idle time
/// before it. A TLS handshake gets the same time.
pub const HEAD: Duration = Duration::from_secs(30);
/// The smallest value of `--head-timeout`.
pub const HEAD_MIN: Duration = Duration::from_secs(1);
/// The largest value of `--head-timeout`.
pub const HEAD_MAX: Duration = Duration::from_secs(600);
/// Request line and header fields together, in bytes; above it 431.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of one request; above it 431.
pub(crate) const HEADERS: usize = 64;
/// The default of `--stall-timeout`: time without a byte in either direction after which a
/// connection is closed, for example when the client does not read its response.
pub const STALL: Duration = Duration::from_secs(75);
/// The smallest value of `--stall-timeout`. It must also be longer than `--upstream-timeout`.
pub const STALL_MIN: Duration = Duration::from_secs(1);
/// The largest value of `--stall-timeout`.
pub const STALL_MAX: Duration = Duration::from_secs(600);
/// What a client must take of a response in `--stall-timeout`, in bytes, unless there is less.
pub(crate) const WRITE_PACE_BYTES: usize = 16 * 1024;
/// Failures to accept are logged at most once in this time.
pub(crate) const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Pause of the listener after a failure to accept, for example without file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time that a stop grants to requests in progress.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);
/// The longest `X-Request-Id` that is echoed, in bytes.
pub(crate) const REQUEST_ID_BYTES: usize = 128;

/// The largest body that the proxy itself reads, in bytes; above it 413. The upstream bounds bodies
/// that are only forwarded.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
/// Time for a client to send such a body.
pub(crate) const BODY: Duration = Duration::from_secs(30);
/// The time in which such a body must bring [`BODY_PACE_BYTES`] or its end; then 408.
pub(crate) const BODY_PACE: Duration = Duration::from_secs(10);
/// What a body must bring in [`BODY_PACE`], in bytes.
pub(crate) const BODY_PACE_BYTES: usize = 32 * 1024;
/// Bodies up to this length, in bytes, count towards [`SMALL_BODIES_BYTES`], others towards
/// [`LARGE_BODIES_BYTES`].
pub(crate) const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Memory for all small bodies, in bytes; above it 503.
pub(crate) const SMALL_BODIES_BYTES: usize = 64 * 1024 * 1024;
/// Memory for all larger bodies, in bytes; above it 503.
pub(crate) const LARGE_BODIES_BYTES: usize = 256 * 1024 * 1024;
/// Bytes of a rejected body that are read and dropped, so that the client sees the response and not
/// a reset.
pub(crate) const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// Time for reading and dropping them.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The longest upstream response that the proxy inspects, in bytes. A longer one is forwarded
/// without being read or cached.
pub(crate) const ANSWER_BYTES: u64 = 512 * 1024;
/// Time to connect to the upstream, without name resolution and TLS handshake.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection to the upstream is kept. Shorter than the server's idle timeout, so
/// that the proxy closes first.
pub(crate) const UPSTREAM_IDLE: Duration = Duration::from_secs(60);
/// The number of idle connections to the upstream that are kept.
pub(crate) const UPSTREAM_IDLE_CONNECTIONS: usize = 1024;
/// Time for the upstream to answer a readiness check.
pub(crate) const READY: Duration = Duration::from_secs(5);
/// The default of `--upstream-timeout`: time for the upstream to begin its response.
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest value of `--upstream-timeout`.
pub const UPSTREAM_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The shortest lifetime of a cache entry. Answers that expire sooner are not stored.
pub(crate) const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// Memory of an entry beside its body and headers, in bytes: cache key, tables, allocations.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 384;
/// Slots for the times of the last changes, 8 bytes each. A change also invalidates the entries of
/// other keys in the same slot.
pub(crate) const CHANGE_SLOTS: usize = 65_536;

// A connection must not be closed as stalled while it waits for the upstream.
const _: () = assert!(UPSTREAM_TIMEOUT.as_secs() < STALL.as_secs());
const _: () = assert!(CONNECTIONS_MIN / NEW_SHARE > 1);
const _: () = assert!(SMALL_BODY_BYTES < BODY_BYTES && BODY_BYTES < LARGE_BODIES_BYTES);
