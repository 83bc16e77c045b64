//! All bounds of the proxy.

use std::time::Duration;

/// Client connections that are served at the same time. More wait in the listener's backlog.
pub(crate) const CONNECTIONS: u32 = 8192;
/// Time for a client to send a request head, including idle time before it.
pub(crate) const HEAD: Duration = Duration::from_secs(30);
/// Request line and header fields together, in bytes; above it 431.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of one request; above it 431.
pub(crate) const HEADERS: usize = 64;
/// Time without a byte in either direction after which a connection is closed, for example when the
/// client does not read its response.
pub(crate) const STALL: Duration = Duration::from_secs(75);
/// Pause of the listener after a failure to accept, for example without file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Time that a stop grants to requests in progress.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Length of `Host`, in bytes: a name of 253 characters, a trailing dot and a port.
pub(crate) const HOST_BYTES: usize = 260;
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
const _: () = assert!(UPSTREAM_TIMEOUT_MAX.as_secs() < STALL.as_secs());
const _: () = assert!(SMALL_BODY_BYTES < BODY_BYTES && BODY_BYTES < LARGE_BODIES_BYTES);
