//! Every bound of the audit log.

use std::time::Duration;

/// Entries that wait, and places that are reserved. The control plane runs fewer handlers, each
/// with one place. An entry takes some 500 bytes; that of a batch import up to 40 KiB, so the queue
/// can take 80 MiB if it holds nothing else.
pub(crate) const QUEUE: usize = 2048;
/// Of these, the places for what strangers do. A flood of it cannot take the places of others.
pub(crate) const QUEUE_NOTICES: usize = QUEUE / 4;
/// Entries of one write. Those that wait for it share one synchronisation.
pub(crate) const BATCH_ENTRIES: usize = 256;
/// Bytes after which a write takes no further entry.
pub(crate) const BATCH_BYTES: usize = 256 * 1024;
/// The longest line. The id of each of a thousand imported keys takes 67 bytes.
pub(crate) const LINE_BYTES: usize = 128 * 1024;
/// How far from its end a file is searched for its last whole line.
pub(crate) const TAIL_BYTES: u64 = 8 * LINE_BYTES as u64;
/// Refused requests of strangers that are noted in a minute.
pub(crate) const REFUSALS_PER_MINUTE: u32 = 60;
/// Failed verifications that are noted in a minute, for each tenant.
pub(crate) const FAILURES_PER_MINUTE: u32 = 10;
/// Counters of failed verifications. Tenants that share one share its bound.
pub(crate) const FAILURE_COUNTERS: usize = 64;
/// How long a log that cannot be written rests before the next attempt.
pub(crate) const RETRY: Duration = Duration::from_secs(1);
/// How often a log with `fsync: interval` is synchronised, and how often counts are looked at.
pub(crate) const TICK: Duration = Duration::from_secs(1);
/// How long a shutdown waits for the entries that are left.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// Faults that a verification reports; further ones are counted.
pub(crate) const FAULTS_REPORTED: usize = 100;

const _: () = assert!(QUEUE_NOTICES < QUEUE);
