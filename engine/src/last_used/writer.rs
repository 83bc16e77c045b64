//! The thread that writes uses to storage in batches.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use talos_model::RecordKey;
use talos_model::clock::UnixMillis;

use super::{LastUsed, UsedKey};
use crate::priority;

impl LastUsed {
    /// Writes until [`LastUsed::stop`] is called, then writes what is left.
    pub(super) fn run(&self) {
        // With millions of keys in use nearly every verification leads to a write. A core that has
        // no time for that drops uses instead of delaying verifications.
        priority::lowest();
        let mut due = Instant::now() + self.options.flush_interval;
        while !self.is_stopping.load(Ordering::Acquire) {
            thread::park_timeout(due.saturating_duration_since(Instant::now()));
            self.is_woken.swap(false, Ordering::AcqRel);
            let is_due = Instant::now() >= due;
            if is_due {
                due = Instant::now() + self.options.flush_interval;
            }
            self.write_or_log(if is_due { 1 } else { self.options.flush_size });
        }
        self.write_or_log(1);
    }

    /// A panic, which only a defect can cause, loses the current batch and does not end the thread.
    fn write_or_log(&self, keys_min: usize) {
        if catch_unwind(AssertUnwindSafe(|| self.write(keys_min))).is_err() {
            tracing::error!("writing last uses panicked");
        }
    }

    /// Writes batch after batch while at least `keys_min` keys have a use to write. With 1 it
    /// writes all of them.
    fn write(&self, keys_min: usize) {
        loop {
            let batch = {
                let pending = self.drain_queue();
                if pending.len() < keys_min {
                    return;
                }
                pending.batch(self.options.flush_size)
            };
            match self.store.write_last_uses(&batch) {
                Ok(()) => {
                    self.written
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.delete_uses_of_missing_keys(&batch);
                    self.call_written_hook(&batch);
                }
                Err(error) => {
                    tracing::warn!(%error, keys = batch.len(), "last uses of keys could not be written");
                    self.dropped
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                }
            }
            self.pending().finish(&batch);
        }
    }

    fn call_written_hook(&self, batch: &[(RecordKey, UnixMillis)]) {
        let hook = self.written_hook.lock();
        let hook = hook.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(hook) = hook {
            let used = batch.iter();
            let used: Vec<UsedKey> = used
                .map(|(key, time)| (key.as_bytes().to_vec(), *time))
                .collect();
            hook(&used);
        }
    }

    /// Deletes the written uses of keys that were deleted in the meantime.
    ///
    /// The check comes after the write, so that no deletion is missed. If the deletion was written
    /// before the check, the check sees it. If it is written later, its batch deletes the use. If
    /// it is written but not yet published, memory still knows the key, and publishing it deletes
    /// the use ([`LastUsed::forget_key`]).
    fn delete_uses_of_missing_keys(&self, batch: &[(RecordKey, UnixMillis)]) {
        let is_known = self.key_lookup.get();
        for (key, _) in batch {
            if is_known.is_none_or(|is_known| !is_known(key))
                && let Err(error) = self.store.delete_last_use_of_missing_key(key)
            {
                tracing::warn!(%error, ?key, "a last use may be stored for a key that does not exist");
            }
        }
    }
}
