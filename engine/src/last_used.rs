//! When each key was last used: noted in memory by whoever verifies, written in batches by a thread of its own.
//!
//! Guarantees: a verification never waits for a disk or a lock and never causes a write of its own: a key is queued, and
//! written, once an interval, at moments of its own, so that keys which came into use together do not stay together; a full
//! queue drops the use, counts it, and lets the next verification try again; a later time is never replaced by an earlier one;
//! a deleted key leaves nothing behind; a clean stop writes everything that was queued. What a crash loses are the times of the
//! last interval, for writes are not synced.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crossbeam::queue::ArrayQueue;
use talos_model::clock::UnixMillis;
use talos_model::{Record, RecordKey};
use xxhash_rust::xxh3::xxh3_64;

use crate::priority;
use crate::storage::{RocksStore, StorageError};

/// How uses of keys are gathered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUsedOptions {
    /// Uses that wait to be gathered; as many keys may wait to be written. More are dropped.
    pub queue_size: usize,
    /// So many keys are written at once, and as soon as so many wait.
    pub flush_size: usize,
    /// The longest that a use waits to be written, and the time between two that are noted of one key.
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

/// What became of uses since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastUsedCounts {
    /// Written; storage keeps the latest of each key.
    pub written: u64,
    /// Lost, because the queue was full or the write failed.
    pub dropped: u64,
}

/// From when on a use of a row's key is queued, in milliseconds since 1970.
#[derive(Debug)]
pub struct NextNote(AtomicI64);

impl Default for NextNote {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

/// The moments from which on uses of keys are noted again: one an interval for each key, another one for each.
#[derive(Clone, Copy, Debug)]
struct Moments {
    interval_ms: i64,
}

impl Moments {
    fn new(interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        Self { interval_ms }
    }

    /// The first moment of the key after `time`, at most an interval later; `time` itself for intervals of 0.
    fn after(self, key: &RecordKey, time: UnixMillis) -> UnixMillis {
        let interval_ms = self.interval_ms.cast_unsigned();
        let Some(phase) = xxh3_64(key.as_bytes()).checked_rem(interval_ms) else {
            return time;
        };
        let phase = phase.cast_signed().saturating_sub(time.0);
        // 1 to a whole interval.
        let ahead = phase.saturating_sub(1).rem_euclid(self.interval_ms);
        UnixMillis(time.0.saturating_add(ahead).saturating_add(1))
    }
}

/// A key as storage names it, and when it was used.
pub type UsedKey = (Vec<u8>, UnixMillis);

/// Who is told of uses that were written.
pub type Told = Arc<dyn Fn(&[UsedKey]) + Send + Sync>;

/// Whether a key is known to exist, from memory alone; see [`crate::verifier::Verifier::knows`].
pub type Knows = Box<dyn Fn(&RecordKey) -> bool + Send + Sync>;

struct Use {
    key: RecordKey,
    time: UnixMillis,
}

/// What was gathered. Only the writing thread and those who show keys come here.
#[derive(Default)]
struct Gathered {
    /// The latest use of each key that is not yet written.
    waiting: HashMap<RecordKey, UnixMillis>,
    /// Keys whose next moment has not come, by the use that was written.
    recent: HashMap<RecordKey, UnixMillis>,
}

/// See the module.
pub struct LastUsed {
    options: LastUsedOptions,
    moments: Moments,
    store: Arc<RocksStore>,
    queue: ArrayQueue<Use>,
    gathered: Mutex<Gathered>,
    written: AtomicU64,
    dropped: AtomicU64,
    /// Who is told of what was written.
    told: Mutex<Option<Told>>,
    /// Spares the look into storage whether a key still exists.
    knows: OnceLock<Knows>,
    /// Whether the thread was told that there is enough to write.
    is_called: AtomicBool,
    is_stopping: AtomicBool,
    writer: OnceLock<Thread>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl LastUsed {
    /// Starts the thread. Sizes of 0 count as 1.
    pub fn start(store: Arc<RocksStore>, options: LastUsedOptions) -> std::io::Result<Arc<Self>> {
        let queue_size = options.queue_size.max(1);
        let last_used = Arc::new(Self {
            options: LastUsedOptions {
                queue_size,
                flush_size: options.flush_size.clamp(1, queue_size),
                ..options
            },
            moments: Moments::new(options.flush_interval),
            store,
            queue: ArrayQueue::new(queue_size),
            gathered: Mutex::default(),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            told: Mutex::new(None),
            knows: OnceLock::new(),
            is_called: AtomicBool::new(false),
            is_stopping: AtomicBool::new(false),
            writer: OnceLock::new(),
            running: Mutex::new(None),
        });
        let works = Arc::clone(&last_used);
        let running = thread::Builder::new()
            .name("talos-last-used".to_owned())
            .spawn(move || works.run())?;
        last_used.writer.get_or_init(|| running.thread().clone());
        *last_used.running() = Some(running);
        Ok(last_used)
    }

    /// Notes that the key was used at `now`, unless it is too early for `next`, which is that of its row.
    pub fn note(&self, key: &RecordKey, next: &NextNote, now: UnixMillis) {
        let due = next.0.load(Ordering::Relaxed);
        if now.0 < due {
            return;
        }
        let later = self.moments.after(key, now).0;
        // Of many cores one queues the use.
        let exchange = next
            .0
            .compare_exchange(due, later, Ordering::Relaxed, Ordering::Relaxed);
        if exchange.is_ok() && !self.touch(key, now) {
            next.0.store(due, Ordering::Relaxed);
        }
    }

    /// Queues a use. False when it was dropped.
    pub fn touch(&self, key: &RecordKey, now: UnixMillis) -> bool {
        let (key, time) = (*key, now);
        if self.queue.push(Use { key, time }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        if self.queue.len() >= self.options.flush_size
            && !self.is_called.swap(true, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
        true
    }

    /// When the keys of `records` were last used, as far as is known: what waits to be written counts. May wait for the disk.
    /// What was noted of a key of the same id before it was deleted and came back is not told.
    pub fn of(&self, records: &[Record]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        let key_of = |record: &Record| RecordKey::new(record.tenant, record.key_id);
        let keys: Vec<_> = records.iter().map(key_of).collect();
        let waiting: Vec<_> = {
            let mut gathered = self.gather();
            let gathered = &mut *gathered;
            let latest = |key: &RecordKey| {
                let waiting = gathered.waiting.get(key).copied();
                waiting.max(gathered.recent.get(key).copied())
            };
            keys.iter().map(latest).collect()
        };
        let written = self.store.last_uses(&keys)?;
        let latest = |((record, waiting), written): ((&Record, Option<UnixMillis>), _)| {
            let latest = waiting.max(written);
            latest.filter(|time| *time >= record.create_time)
        };
        Ok(records
            .iter()
            .zip(waiting)
            .zip(written)
            .map(latest)
            .collect())
    }

    /// What became of uses.
    pub fn counts(&self) -> LastUsedCounts {
        LastUsedCounts {
            written: self.written.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// From now on this one is told of what was written, on the thread that writes.
    pub fn tell(&self, told: Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    /// From now on `knows` is asked first which keys exist. Only the first call counts.
    pub fn ask(&self, knows: Knows) {
        self.knows.get_or_init(|| knows);
    }

    /// Forgets what was written of a key whose deletion is published. A use of it that is written later meets
    /// [`Self::take_back`].
    pub fn forget_key(&self, key: &RecordKey) {
        if let Err(error) = self.store.drop_use(key) {
            tracing::warn!(%error, ?key, "the last use of a deleted key could not be forgotten");
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

    fn run(&self) {
        // With millions of keys in use nearly every verification is to be written down. On a core that has no time for that,
        // uses are dropped rather than verifications delayed.
        priority::lowest();
        let mut due = Instant::now() + self.options.flush_interval;
        while !self.is_stopping.load(Ordering::Acquire) {
            thread::park_timeout(due.saturating_duration_since(Instant::now()));
            self.is_called.swap(false, Ordering::AcqRel);
            let is_due = Instant::now() >= due;
            if is_due {
                due = Instant::now() + self.options.flush_interval;
            }
            self.guarded(if is_due { 1 } else { self.options.flush_size });
        }
        self.guarded(1);
    }

    /// A panic, which only a defect can cause, costs the uses at hand.
    fn guarded(&self, least: usize) {
        if catch_unwind(AssertUnwindSafe(|| self.write(least))).is_err() {
            tracing::error!("writing last uses panicked");
        }
    }

    /// Writes batch after batch as long as `least` keys wait, and all of them if that is 1.
    fn write(&self, least: usize) {
        loop {
            let batch: Vec<_> = {
                let gathered = self.gather();
                if gathered.waiting.len() < least {
                    return;
                }
                let waiting = gathered.waiting.iter().take(self.options.flush_size);
                waiting.map(|(key, time)| (*key, *time)).collect()
            };
            match self.store.note_uses(&batch) {
                Ok(()) => {
                    self.written
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.take_back(&batch);
                    let told = self.told.lock();
                    let told = told.unwrap_or_else(PoisonError::into_inner).clone();
                    if let Some(told) = told {
                        let used = batch.iter();
                        let used: Vec<_> = used
                            .map(|(key, time)| (key.as_bytes().to_vec(), *time))
                            .collect();
                        told(&used);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, keys = batch.len(), "last uses of keys could not be written");
                    self.dropped
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
            }
            self.forget(&batch);
        }
    }

    /// Takes back what was written of keys that were deleted in the meantime. Looked at afterwards, so that no deletion slips
    /// through: one that is written before this looks is seen by it, one that is written later takes the note along, and one that
    /// is written but not yet published, of whose key memory still knows, does so when it is ([`Self::forget_key`]).
    fn take_back(&self, batch: &[(RecordKey, UnixMillis)]) {
        let knows = self.knows.get();
        for (key, _) in batch {
            if knows.is_none_or(|knows| !knows(key))
                && let Err(error) = self.store.drop_use_without_key(key)
            {
                tracing::warn!(%error, ?key, "a last use was noted of a key that may not exist");
            }
        }
    }

    /// Takes from the queue what is there. A key that was written within the interval is not to be written again.
    fn gather(&self) -> MutexGuard<'_, Gathered> {
        // Both maps hold whole entries, should a thread have panicked between two of them.
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let Gathered { waiting, recent } = &mut *gathered;
        while waiting.len() < self.options.queue_size
            && let Some(Use { key, time }) = self.queue.pop()
        {
            let written = recent.get(&key);
            let is_recent = written.is_some_and(|noted| self.is_recent(&key, *noted, time));
            if !is_recent {
                let latest = waiting.entry(key).or_insert(time);
                *latest = time.max(*latest);
            }
        }
        gathered
    }

    /// Takes a batch that is done with from what waits, and with it what was noted of its keys in the meantime.
    fn forget(&self, batch: &[(RecordKey, UnixMillis)]) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let Gathered { waiting, recent } = &mut *gathered;
        for (key, time) in batch {
            let is_recent = |waits: &UnixMillis| self.is_recent(key, *time, *waits);
            if waiting.get(key).is_some_and(is_recent) {
                waiting.remove(key);
            }
            recent.insert(*key, *time);
        }
        if recent.len() > self.options.queue_size {
            let latest = recent.values().max().map_or(0, |time| time.0);
            recent.retain(|key, time| self.is_recent(key, *time, UnixMillis(latest)));
        }
        // So many keys are in use that some are written more often; memory counts for more.
        if recent.len() > self.options.queue_size {
            recent.clear();
        }
    }

    /// Whether a use of the key is none to note after one that was.
    fn is_recent(&self, key: &RecordKey, noted: UnixMillis, used: UnixMillis) -> bool {
        used < self.moments.after(key, noted)
    }

    fn running(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{KeyId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn keys(count: u64) -> Vec<RecordKey> {
        let ids = (0..count).map(|id| KeyId::Issued(Uuid::from_u128(id.into())));
        ids.map(|id| RecordKey::new(TenantId::SINGLE, id)).collect()
    }

    #[test]
    fn a_key_has_one_moment_an_interval() {
        let moments = Moments::new(Duration::from_secs(30));
        for key in keys(100) {
            let first = moments.after(&key, UnixMillis(1_800_000_000_123));
            let second = moments.after(&key, first);
            assert_eq!(second.0, first.0 + 30_000);
            for early in [1, 17, 29_999, 30_000] {
                assert_eq!(moments.after(&key, UnixMillis(first.0 - early)), first);
            }
            assert_eq!(moments.after(&key, UnixMillis(second.0 - 1)), second);
        }
    }

    #[test]
    fn keys_that_came_into_use_together_do_not_stay_together() {
        let moments = Moments::new(Duration::from_secs(30));
        let mut seconds = [0; 30];
        for key in keys(30_000) {
            let ahead = moments.after(&key, UnixMillis(0)).0;
            seconds[usize::try_from((ahead - 1) / 1000).unwrap()] += 1;
        }
        assert!(
            seconds.iter().all(|count| (800..1200).contains(count)),
            "{seconds:?}"
        );
    }

    #[test]
    fn intervals_of_any_length_have_moments() {
        let now = UnixMillis(1_800_000_000_000);
        for key in keys(10) {
            assert_eq!(Moments::new(Duration::ZERO).after(&key, now), now);
            let next = Moments::new(Duration::from_millis(1)).after(&key, now);
            assert_eq!(next.0, now.0 + 1);
            for now in [i64::MIN, 0, now.0, i64::MAX - 1] {
                let next = Moments::new(Duration::MAX).after(&key, UnixMillis(now));
                assert!(next.0 > now, "{next:?}");
            }
        }
    }
}
