//! Every bound of the control plane, in one place.

use std::time::Duration;

use talos_engine::ReadLimits;

/// Requests that may wait for a handler; beyond it the data plane answers 503.
pub(crate) const QUEUE_REQUESTS: usize = 1024;
/// Bytes that the bodies of all waiting and running requests may hold together: many small ones or a few large ones.
pub(crate) const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Requests that are handled at the same time.
pub(crate) const RUNNING_REQUESTS: u32 = 1024;
/// Threads of the runtime. Handlers only parse, wait and render; the work is done by the engine's own threads.
pub(crate) const WORKER_THREADS: usize = 2;
/// How long a handler waits for the engine before it answers that the outcome is not known.
pub(crate) const ENGINE_WAIT: Duration = Duration::from_secs(30);
/// How long a connection to the primary may take to be made.
pub(crate) const FORWARD_CONNECT: Duration = Duration::from_secs(2);
/// How long the primary may take to answer: as long as it waits for its engine, and for its replicas besides.
pub(crate) const FORWARD_WAIT: Duration = Duration::from_secs(60);
/// How long a connection to the primary is kept for the next request.
pub(crate) const FORWARD_IDLE: Duration = Duration::from_secs(20);
/// The longest answer of a primary that is passed on: that to the largest import is far below.
pub(crate) const FORWARD_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How long a handler waits for keys to be counted: less than what clients usually wait for an answer.
pub(crate) const COUNT_WAIT: Duration = Duration::from_secs(20);
/// How long a shutdown waits for requests that are waiting or running.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// Streams of changes that are open at the same time; beyond it 503. Each may hold a few times [`CHANGES_AT_ONCE`].
pub(crate) const CHANGE_STREAMS: usize = 128;
/// How much of the log a stream reads at once: what is one part of its answer.
pub(crate) const CHANGES_AT_ONCE: ReadLimits = ReadLimits {
    entries: 256,
    bytes: 64 * 1024,
};
/// Enough of the log to see where it begins.
pub(crate) const ONE_CHANGE: ReadLimits = ReadLimits {
    entries: 1,
    bytes: 0,
};
/// Parts of an answer that wait for its client.
pub(crate) const PARTS_WAITING: usize = 2;
/// After so much silence a stream says that it is still there: sooner than proxies give up.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream rests before it reads again, when too many others read.
pub(crate) const BUSY_REST: Duration = Duration::from_millis(100);

/// Connections to the metrics listener that are served at the same time; a scraper needs one.
pub(crate) const METRICS_CONNECTIONS: u32 = 64;
/// How long a client of the metrics listener may take to send a head.
pub(crate) const METRICS_HEAD: Duration = Duration::from_secs(5);
/// The longest head that the metrics listener reads, in bytes; the least that the library allows is half of it.
pub(crate) const METRICS_HEAD_BYTES: usize = 16 * 1024;
/// How long a connection to the metrics listener may last, for a client that does not take its answer.
pub(crate) const METRICS_CONNECTION: Duration = Duration::from_secs(10);
/// How long the metrics listener rests when no connection can be accepted, as without descriptors.
pub(crate) const METRICS_ACCEPT_REST: Duration = Duration::from_millis(200);

// What this queue lets through, the engine's queue can hold, so that "busy" is said here, before any work is done.
const _: () = assert!(RUNNING_REQUESTS as usize <= talos_engine::limits::COMMIT_QUEUE_COMMANDS);
const _: () = assert!(RUNNING_REQUESTS as usize <= talos_engine::limits::DISK_QUEUE_READS);
