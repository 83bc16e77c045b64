//! The engine's clocks: wall-clock time that never goes back, and monotonic time.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Whole seconds since 1970, rounded down.
    #[inline]
    #[must_use]
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The instant `nanos` later, rounded up to a millisecond. Saturates.
    #[inline]
    #[must_use]
    pub fn plus_nanos(self, nanos: u64) -> Self {
        let millis = i64::try_from(nanos.div_ceil(1_000_000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The instant `seconds` later. Saturates.
    #[must_use]
    pub fn plus_seconds(self, seconds: u64) -> Self {
        let millis = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1000);
        Self(self.0.saturating_add(millis))
    }
}

/// The latest instant that [`now`] has returned on any thread.
static LATEST: AtomicI64 = AtomicI64::new(0);

/// The wall-clock time, except that it never goes back while the process runs. An expired key
/// therefore stays expired if an operator or a time daemon sets the clock back.
#[inline]
#[must_use]
pub fn now() -> UnixMillis {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let wall = i64::try_from(wall.as_millis()).unwrap_or(i64::MAX);
    // A plain load first: cores write the shared cache line at most once a millisecond.
    if LATEST.load(Ordering::Relaxed) >= wall {
        return UnixMillis(LATEST.load(Ordering::Relaxed));
    }
    UnixMillis(LATEST.fetch_max(wall, Ordering::Relaxed).max(wall))
}

/// Nanoseconds since the first call in this process. Changes of the wall clock do not affect it.
#[inline]
#[must_use]
pub fn monotonic_ns() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use crate::clock::*;

    #[test]
    fn seconds_round_down() {
        assert_eq!(UnixMillis(1999).seconds(), 1);
        assert_eq!(UnixMillis(-1).seconds(), -1);
        assert_eq!(UnixMillis(5).plus_seconds(2), UnixMillis(2005));
        assert_eq!(UnixMillis(5).plus_seconds(u64::MAX), UnixMillis(i64::MAX));
        assert_eq!(UnixMillis(5).plus_nanos(1_000_001), UnixMillis(7));
        assert_eq!(
            UnixMillis(i64::MAX).plus_nanos(u64::MAX),
            UnixMillis(i64::MAX)
        );
    }
}
