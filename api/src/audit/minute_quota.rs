//! How much of what strangers do is noted in a minute.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_model::clock::UnixMillis;

const MINUTE_MS: i64 = 60_000;

/// Admits so many in each minute of the clock. It is one atomic: the minute and how often it was
/// used in it. Beyond the bound a core only reads it.
#[derive(Debug, Default)]
pub struct MinuteQuota {
    /// The minute in the upper half, what was admitted in it in the lower half.
    state: AtomicU64,
}

impl MinuteQuota {
    /// Whether one more is within `bound` in this minute.
    pub fn admits(&self, now: UnixMillis, bound: u32) -> bool {
        let minute = minute(now);
        let next = |state: u64| {
            let used = if state >> 32 == u64::from(minute) {
                state & u64::from(u32::MAX)
            } else {
                0
            };
            (used < u64::from(bound)).then(|| u64::from(minute) << 32 | (used + 1))
        };
        self.state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// The minute of the clock.
#[must_use]
pub fn minute(now: UnixMillis) -> u32 {
    u32::try_from(now.0.div_euclid(MINUTE_MS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minute_has_its_bound() {
        let quota = MinuteQuota::default();
        let admitted = |now: i64, attempts: u32| {
            let attempts = 0..attempts;
            attempts
                .filter(|_| quota.admits(UnixMillis(now), 3))
                .count()
        };
        assert_eq!(admitted(60_000, 9), 3);
        assert_eq!(admitted(119_999, 9), 0);
        assert_eq!(admitted(120_000, 2), 2);
        assert_eq!(admitted(120_001, 2), 1);
    }
}
