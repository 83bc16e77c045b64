//! When a use of a key is recorded again.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use talos_model::RecordKey;
use talos_model::clock::UnixMillis;
use xxhash_rust::xxh3::xxh3_64;

/// Uses of a cached key before this time, in milliseconds since 1970, are not recorded.
#[derive(Debug)]
pub struct NextRecording(AtomicI64);

impl Default for NextRecording {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl NextRecording {
    pub(super) fn get(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, next: UnixMillis) {
        self.0.store(next.0, Ordering::Relaxed);
    }

    /// Replaces `current` with `next`. Of several cores that call this at once, one gets `true`.
    pub(super) fn advance(&self, current: UnixMillis, next: UnixMillis) -> bool {
        self.0
            .compare_exchange(current.0, next.0, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Gives each key one recording time per interval. The offset within the interval is a hash of the
/// key, so that keys which came into use together are not all written together for ever.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordingSchedule {
    interval_ms: i64,
}

impl RecordingSchedule {
    pub fn new(interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        Self { interval_ms }
    }

    /// The key's first recording time after `time`, at most one interval later. With an interval of
    /// 0 it is `time` itself.
    pub fn after(self, key: &RecordKey, time: UnixMillis) -> UnixMillis {
        let interval_ms = self.interval_ms.cast_unsigned();
        let Some(phase) = xxh3_64(key.as_bytes()).checked_rem(interval_ms) else {
            return time;
        };
        let phase = phase.cast_signed().saturating_sub(time.0);
        // With the 1 that is added below: 1 ms to a whole interval.
        let ahead = phase.saturating_sub(1).rem_euclid(self.interval_ms);
        UnixMillis(time.0.saturating_add(ahead).saturating_add(1))
    }

    /// Whether a use at `used` is too early to record after one that was recorded at `recorded`.
    pub fn is_too_early(self, key: &RecordKey, recorded: UnixMillis, used: UnixMillis) -> bool {
        used < self.after(key, recorded)
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
    fn a_key_has_one_recording_time_an_interval() {
        let schedule = RecordingSchedule::new(Duration::from_secs(30));
        for key in keys(100) {
            let first = schedule.after(&key, UnixMillis(1_800_000_000_123));
            let second = schedule.after(&key, first);
            assert_eq!(second.0, first.0 + 30_000);
            for early in [1, 17, 29_999, 30_000] {
                assert_eq!(schedule.after(&key, UnixMillis(first.0 - early)), first);
            }
            assert_eq!(schedule.after(&key, UnixMillis(second.0 - 1)), second);
        }
    }

    #[test]
    fn keys_that_came_into_use_together_do_not_stay_together() {
        let schedule = RecordingSchedule::new(Duration::from_secs(30));
        let mut seconds = [0; 30];
        for key in keys(30_000) {
            let ahead = schedule.after(&key, UnixMillis(0)).0;
            seconds[usize::try_from((ahead - 1) / 1000).unwrap()] += 1;
        }
        assert!(
            seconds.iter().all(|count| (800..1200).contains(count)),
            "{seconds:?}"
        );
    }

    #[test]
    fn intervals_of_any_length_have_recording_times() {
        let now = UnixMillis(1_800_000_000_000);
        for key in keys(10) {
            assert_eq!(RecordingSchedule::new(Duration::ZERO).after(&key, now), now);
            let next = RecordingSchedule::new(Duration::from_millis(1)).after(&key, now);
            assert_eq!(next.0, now.0 + 1);
            for now in [i64::MIN, 0, now.0, i64::MAX - 1] {
                let next = RecordingSchedule::new(Duration::MAX).after(&key, UnixMillis(now));
                assert!(next.0 > now, "{next:?}");
            }
        }
    }
}
