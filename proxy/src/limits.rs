//! Every bound of the proxy, in one place.

use std::time::Duration;

/// Connections of clients that are served at the same time; more wait in the listener's backlog.
pub(crate) const CONNECTIONS: u32 = 8192;
/// How long a client may take to send a head, silence before it included.
pub(crate) const HEAD: Duration = Duration::from_secs(30);
/// Request line and header fields together, in bytes; above it 431.
pub(crate) const HEAD_BYTES: usize = 16 * 1024;
/// Header fields of one request; above it 431.
pub(crate) const HEADERS: usize = 64;
/// How long a connection may pass without a byte in either direction, as when a client does not take its answer.
pub(crate) const SILENCE: Duration = Duration::from_secs(75);
/// How long the listener rests when no connection can be accepted, as without descriptors.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(50);
/// How long a stop waits for requests that have begun.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// The value of `Host`, in bytes: a name of 253 characters, a trailing dot and a port.
pub(crate) const HOST_BYTES: usize = 260;
/// The longest `X-Request-Id` that is echoed, in bytes.
pub(crate) const REQUEST_ID_BYTES: usize = 128;

/// A body that the proxy reads itself, in bytes; above it 413. What it only passes on is bounded by the upstream.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
/// How long a client may take to send such a body.
pub(crate) const BODY: Duration = Duration::from_secs(30);
/// A body up to this length takes no share of [`LARGE_BODIES_BYTES`].
pub(crate) const SMALL_BODY_BYTES: usize = 64 * 1024;
/// Longer bodies, and those of unknown length, that are held at the same time, in bytes; above it 503.
pub(crate) const LARGE_BODIES_BYTES: usize = 256 * 1024 * 1024;
/// What is read and dropped of a body that is too large, so that the client sees the answer rather than a reset.
pub(crate) const LINGER_BYTES: usize = 16 * 1024 * 1024;
/// How long bytes are read and dropped.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// An answer of the upstream that is looked at, in bytes; a longer one passes unread and is not cached.
pub(crate) const ANSWER_BYTES: u64 = 512 * 1024;
/// How long it may take to connect to the upstream, its name look-up and handshake apart.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);
/// How long an idle connection to the upstream is kept; shorter than the server's own patience with idle clients.
pub(crate) const UPSTREAM_IDLE: Duration = Duration::from_secs(60);
/// Idle connections to the upstream that are kept.
pub(crate) const UPSTREAM_IDLE_CONNECTIONS: usize = 1024;
/// How long the upstream may take to say whether it is ready.
pub(crate) const READY: Duration = Duration::from_secs(5);
/// The longest that an operator may let requests wait for the upstream.
pub const UPSTREAM_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// The shortest time for which an answer is kept.
pub(crate) const LIFE_MIN: Duration = Duration::from_secs(1);
/// What an entry takes beside its body and headers, in bytes: key, places in tables, allocations.
pub(crate) const ENTRY_OVERHEAD_BYTES: usize = 384;
/// Places for the last changes of keys: 8 bytes each. A change also ends the entries of the keys that share its place.
pub(crate) const CHANGE_PLACES: usize = 65_536;

const _: () = assert!(UPSTREAM_TIMEOUT_MAX.as_secs() < SILENCE.as_secs());
const _: () = assert!(SMALL_BODY_BYTES < BODY_BYTES && BODY_BYTES < LARGE_BODIES_BYTES);
