//! When each key was last used. Verifications queue uses in memory; a separate thread writes them
//! in batches.
//!
//! Guarantees:
//! - A verification never waits for a disk or a lock.
//! - A key is queued and written once per interval, at a time of its own ([`schedule`]).
//! - A full queue drops the use and counts it. The next verification of the key tries again.
//! - An earlier time never replaces a later one.
//! - A deleted key leaves nothing behind.
//! - A clean stop writes everything that was queued. A crash loses the uses of the last interval,
//!   because the writes are not synced.

mod pending;
mod schedule;
mod writer;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use talos_model::clock::UnixMillis;
use talos_model::{Record, RecordKey};

pub use self::schedule::NextRecording;

use self::pending::PendingUses;
use self::schedule::RecordingSchedule;
use crate::storage::{Database, StorageError};

/// How uses of keys are queued and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUsedOptions {
    /// Uses that the queue holds, and keys that may wait to be written. Further uses are dropped.
    pub queue_size: usize,
    /// Keys per write. A write begins as soon as this many wait.
    pub flush_size: usize,
    /// The longest time that a use waits to be written, and the time between two recorded uses of
    /// one key.
    pub flush_interval: Duration,
}

impl Default for LastUsedOptions {
    fn default() -> Self {
        Self {
            queue_size: 10_000,
            flush_size: 100,
            flush_interval: Duration::from_secs(30),
        }
    }
}

/// How many uses were written and dropped since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastUsedCounts {
    /// Written. Storage keeps the latest of each key.
    pub written: u64,
    /// Lost, because the queue was full or the write failed.
    pub dropped: u64,
}

/// A key in its storage encoding, and when it was used.
pub type UsedKey = (Vec<u8>, UnixMillis);

/// Called with the uses of each batch after it was written.
pub type WrittenHook = Arc<dyn Fn(&[UsedKey]) + Send + Sync>;

/// Whether a key is known to exist, from memory alone; see [`crate::verifier::Verifier::knows`].
pub type KeyLookup = Box<dyn Fn(&RecordKey) -> bool + Send + Sync>;

struct Use {
    key: RecordKey,
    time: UnixMillis,
}

/// Records and reads when keys were last used.
pub struct LastUsed {
    options: LastUsedOptions,
    schedule: RecordingSchedule,
    store: Arc<Database>,
    queue: ArrayQueue<Use>,
    pending: Mutex<PendingUses>,
    written: AtomicU64,
    dropped: AtomicU64,
    written_hook: Mutex<Option<WrittenHook>>,
    /// Saves most reads of storage that check whether a key still exists.
    key_lookup: OnceLock<KeyLookup>,
    /// Whether the thread was woken because there is enough to write.
    is_woken: AtomicBool,
    is_stopping: AtomicBool,
    writer: OnceLock<Thread>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl LastUsed {
    /// Starts the thread. Sizes of 0 count as 1.
    pub fn start(store: Arc<Database>, options: LastUsedOptions) -> std::io::Result<Arc<Self>> {
        let queue_size = options.queue_size.max(1);
        let schedule = RecordingSchedule::new(options.flush_interval);
        let last_used = Arc::new(Self {
            options: LastUsedOptions {
                queue_size,
                flush_size: options.flush_size.clamp(1, queue_size),
                ..options
            },
            schedule,
            store,
            queue: ArrayQueue::new(queue_size),
            pending: Mutex::new(PendingUses::new(schedule, queue_size)),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            written_hook: Mutex::new(None),
            key_lookup: OnceLock::new(),
            is_woken: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
            running: Mutex::new(None),
        });
        let shared = Arc::clone(&last_used);
        let running = thread::Builder::new()
            .name("talos-last-used".to_owned())
            .spawn(move || shared.run())?;
        last_used.writer.get_or_init(|| running.thread().clone());
        *last_used.running() = Some(running);
        Ok(last_used)
    }

    /// Records that the key was used at `now`, unless that is before `next`, the key's next
    /// recording time.
    pub fn record(&self, key: &RecordKey, next: &NextRecording, now: UnixMillis) {
        let due = next.get();
        if now < due {
            return;
        }
        let later = self.schedule.after(key, now);
        if next.advance(due, later) && !self.touch(key, now) {
            next.set(due);
        }
    }

    /// Queues a use. Returns false when it was dropped.
    pub fn touch(&self, key: &RecordKey, now: UnixMillis) -> bool {
        let (key, time) = (*key, now);
        if self.queue.push(Use { key, time }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if self.queue.len() >= self.options.flush_size
            && !self.is_woken.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
        true
    }

    /// When the keys of `records` were last used, unwritten uses included. May wait for the disk.
    /// A use from before the record's creation is left out: the key was deleted and came back.
    pub fn of(&self, records: &[Record]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        let key_of = |record: &Record| RecordKey::new(record.tenant, record.key_id);
        let keys: Vec<_> = records.iter().map(key_of).collect();
        let pending: Vec<_> = {
            let pending = self.drain_queue();
            keys.iter().map(|key| pending.latest(key)).collect()
        };
        let written = self.store.last_uses(&keys)?;
        let latest = |((record, pending), written): ((&Record, Option<UnixMillis>), _)| {
            let latest = pending.max(written);
            latest.filter(|time| *time >= record.create_time)
        };
        Ok(records
            .iter()
            .zip(pending)
            .zip(written)
            .map(latest)
            .collect())
    }

    /// How many uses were written and dropped since the start.
    pub fn counts(&self) -> LastUsedCounts {
        LastUsedCounts {
            written: self.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Calls `hook` after each written batch, on the thread that writes. Replaces the previous
    /// hook.
    pub fn set_written_hook(&self, hook: WrittenHook) {
        *self
            .written_hook
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Checks with `lookup`, before reading storage, whether a key exists. Only the first call
    /// counts.
    pub fn set_key_lookup(&self, lookup: KeyLookup) {
        self.key_lookup.get_or_init(|| lookup);
    }

    /// Deletes the last use of a key whose deletion is published. If a use of it is written later,
    /// the writer deletes that one.
    pub fn forget_key(&self, key: &RecordKey) {
        if let Err(error) = self.store.delete_last_use(key) {
            tracing::warn!(%error, ?key, "the last use of a deleted key could not be deleted");
        }
    }

    /// Writes everything that was queued and ends the thread. Idempotent.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        let running = self.running().take();
        let Some(running) = running else { return };
        running.thread().unpark();
        if running.join().is_err() {
            tracing::error!("the thread that writes last uses had panicked");
        }
    }

    /// Moves the uses in the queue to the pending ones, as far as there is room.
    fn drain_queue(&self) -> MutexGuard<'_, PendingUses> {
        let mut pending = self.pending();
        while !pending.is_full()
            && let Some(Use { key, time }) = self.queue.pop()
        {
            pending.add(key, time);
        }
        pending
    }

    fn pending(&self) -> MutexGuard<'_, PendingUses> {
        // If a thread panicked with the lock held, both maps still hold whole entries.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
