//! Uses that have left the queue: those not yet written, and those written a short time ago.

use std::collections::HashMap;

use talos_model::RecordKey;
use talos_model::clock::UnixMillis;

use super::schedule::RecordingSchedule;

/// The writing thread and the threads that show keys share this behind a lock; verifications never
/// touch it.
pub(super) struct PendingUses {
    schedule: RecordingSchedule,
    /// The most keys in `unwritten`, and about the most in `recent`.
    keys_max: usize,
    /// The latest use of each key that is not yet written.
    unwritten: HashMap<RecordKey, UnixMillis>,
    /// The last written use of each key whose next recording time has not come.
    recent: HashMap<RecordKey, UnixMillis>,
}

impl PendingUses {
    pub fn new(schedule: RecordingSchedule, keys_max: usize) -> Self {
        Self {
            schedule,
            keys_max,
            unwritten: HashMap::new(),
            recent: HashMap::new(),
        }
    }

    /// Whether no further key may be added.
    pub fn is_full(&self) -> bool {
        self.unwritten.len() >= self.keys_max
    }

    /// How many keys have a use to write.
    pub fn len(&self) -> usize {
        self.unwritten.len()
    }

    /// Adds a use, unless one of the key was written within the interval.
    pub fn add(&mut self, key: RecordKey, time: UnixMillis) {
        let written = self.recent.get(&key);
        let is_recent =
            written.is_some_and(|written| self.schedule.is_too_early(&key, *written, time));
        if !is_recent {
            let latest = self.unwritten.entry(key).or_insert(time);
            *latest = time.max(*latest);
        }
    }

    /// The latest use of the key that is known here.
    pub fn latest(&self, key: &RecordKey) -> Option<UnixMillis> {
        let unwritten = self.unwritten.get(key).copied();
        unwritten.max(self.recent.get(key).copied())
    }

    /// Up to `size` uses to write. They stay here until [`Self::finish`].
    pub fn batch(&self, size: usize) -> Vec<(RecordKey, UnixMillis)> {
        let uses = self.unwritten.iter().take(size);
        uses.map(|(key, time)| (*key, *time)).collect()
    }

    /// Removes a batch that was written or given up, and the uses of its keys that were added in
    /// the meantime and are too early to record.
    pub fn finish(&mut self, batch: &[(RecordKey, UnixMillis)]) {
        let schedule = self.schedule;
        for (key, time) in batch {
            let is_recent = |used: &UnixMillis| schedule.is_too_early(key, *time, *used);
            if self.unwritten.get(key).is_some_and(is_recent) {
                self.unwritten.remove(key);
            }
            self.recent.insert(*key, *time);
        }
        if self.recent.len() > self.keys_max {
            let latest = self.recent.values().max().map_or(0, |time| time.0);
            self.recent
                .retain(|key, time| schedule.is_too_early(key, *time, UnixMillis(latest)));
        }
        // With so many keys in use some are written more often than once an interval. That is
        // better than unbounded memory.
        if self.recent.len() > self.keys_max {
            self.recent.clear();
        }
    }
}
