//! Every bound of the control plane, in one place.

use std::time::Duration;

use talos_model::ReadLimits;

use crate::bounds::Bounds;

/// Administrators' requests that may change keys. The data plane answers 503 to more.
pub(crate) const CHANGES: Bounds = Bounds {
    waiting: 1024,
    bytes: 44 * 1024 * 1024,
    running: 672,
};
/// All other requests of administrators.
pub(crate) const READS: Bounds = Bounds {
    waiting: 1024,
    bytes: 12 * 1024 * 1024,
    running: 256,
};
/// Requests for documents that are ready.
pub(crate) const DOCUMENTS: Bounds = Bounds {
    waiting: 512,
    bytes: 4 * 1024 * 1024,
    running: 32,
};
/// Self-revocations, which anybody may send.
pub(crate) const SELF_REVOCATIONS: Bounds = Bounds {
    waiting: 128,
    bytes: 4 * 1024 * 1024,
    running: 64,
};
/// The bodies of all lanes together, in bytes. [`crate::AdminSettings`] may allow less.
pub(crate) const BODIES_BYTES: usize =
    CHANGES.bytes + READS.bytes + DOCUMENTS.bytes + SELF_REVOCATIONS.bytes;
/// Requests that are handled at the same time, in all lanes.
const RUNNING_REQUESTS: u32 =
    CHANGES.running + READS.running + DOCUMENTS.running + SELF_REVOCATIONS.running;
/// Deletions that are remembered one by one. For older ones a request for a key that does not exist
/// waits until replicas have all of them.
pub(crate) const DELETIONS: usize = 4096;
/// Keys of a batch that were not imported and get a line of the log each. Another line counts all
/// of them.
pub(crate) const LOGGED_IMPORT_FAILURES: usize = 100;
/// Secrets that are kept because their answers were not sent. A further one takes the place of the
/// oldest.
pub(crate) const UNSENT_SECRETS: usize = 1024;
/// How long such a secret is kept after each attempt to send it.
pub(crate) const UNSENT_SECRET_AGE: Duration = Duration::from_secs(300);
/// Threads of the runtime. Handlers only parse, wait and render; the engine's own threads do the
/// work.
pub(crate) const WORKER_THREADS: usize = 2;
/// How long a handler waits for the engine. After that it answers 504: the outcome is unknown.
pub(crate) const ENGINE_WAIT: Duration = Duration::from_secs(30);
/// How long connecting to the primary may take.
pub(crate) const FORWARD_CONNECT: Duration = Duration::from_secs(2);
/// How long the primary may take to answer: it waits for its engine and then for its replicas.
pub(crate) const FORWARD_WAIT: Duration = Duration::from_secs(60);
/// How long an idle connection to the primary stays open.
pub(crate) const FORWARD_IDLE: Duration = Duration::from_secs(20);
/// The largest answer of a primary that is passed on, in bytes. The answer to the largest import is
/// far smaller.
pub(crate) const FORWARD_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How long clients may use the public signing keys before they ask again. Clients that meet a key
/// that they do not know ask earlier.
pub(crate) const KEY_SET_AGE: Duration = Duration::from_secs(300);
/// How long a handler waits for a count of keys: shorter than the usual timeout of clients.
pub(crate) const COUNT_WAIT: Duration = Duration::from_secs(20);
/// How long an answer waits for its entry in the audit log, if entries are required. After that it
/// is 503: the entry may still be written.
pub(crate) const AUDIT_WAIT: Duration = Duration::from_secs(8);
/// How long a shutdown waits for accepted requests.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// Streams of changes that may be open at the same time; more are answered 503. Each may hold a few
/// times [`CHANGES_AT_ONCE`].
pub(crate) const CHANGE_STREAMS: usize = 128;
/// How much of the log a stream reads at once. One read becomes one chunk of the answer.
pub(crate) const CHANGES_AT_ONCE: ReadLimits = ReadLimits {
    entries: 256,
    bytes: 64 * 1024,
};
/// Enough of the log to find its oldest change.
pub(crate) const ONE_CHANGE: ReadLimits = ReadLimits {
    entries: 1,
    bytes: 0,
};
/// Chunks of a streamed body that wait for its client.
pub(crate) const CHUNKS_WAITING: usize = 2;
/// After this time without an event a stream sends a heartbeat. Shorter than the idle timeout of
/// proxies.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream pauses before it reads again, when the engine has too many reads.
pub(crate) const BUSY_REST: Duration = Duration::from_millis(100);

/// Connections that the metrics listener serves at the same time. A scraper needs one. A further
/// one takes the place of another.
pub(crate) const METRICS_CONNECTIONS: usize = 64;
/// Of these, the connections from one address.
pub(crate) const METRICS_PER_ADDRESS: usize = 16;
/// Of these, the connections that get a page of metrics.
pub(crate) const METRICS_PAGES: usize = 48;
/// How long a client of the metrics listener may take to send a head.
pub(crate) const METRICS_HEAD: Duration = Duration::from_secs(5);
/// The largest head that the metrics listener reads, in bytes. The HTTP library needs at least half
/// of this.
pub(crate) const METRICS_HEAD_BYTES: usize = 16 * 1024;
/// How long a connection to the metrics listener may last. Ends a client that does not read its
/// answer.
pub(crate) const METRICS_CONNECTION: Duration = Duration::from_secs(10);
/// How long the metrics listener pauses when it cannot accept, for example without free
/// descriptors.
pub(crate) const METRICS_ACCEPT_REST: Duration = Duration::from_millis(200);

// The engine's queues can hold everything that this queue lets through. So an overload is refused
// here, before any work is done.
const _: () = assert!(RUNNING_REQUESTS as usize <= talos_engine::limits::COMMIT_QUEUE_COMMANDS);
const _: () = assert!(RUNNING_REQUESTS as usize <= talos_engine::limits::DISK_QUEUE_READS);

// A shutdown leaves time for the entries of the last answers.
const _: () = assert!(AUDIT_WAIT.as_secs() < SHUTDOWN_WAIT.as_secs());
const _: () = assert!(METRICS_PER_ADDRESS < METRICS_CONNECTIONS);
const _: () = assert!(METRICS_PAGES < METRICS_CONNECTIONS);
