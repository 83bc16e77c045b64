//! The engine's clocks: the time by which keys expire, and monotonic time.

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

/// The instant that [`now`] does not go below; [`i64::MIN`] = there is none.
static FLOOR: AtomicI64 = AtomicI64::new(i64::MIN);

/// The time by which keys expire and by which they are dated: the wall clock as it is now. It
/// follows every correction of that clock, also one that sets it back. While a floor is set
/// ([`set_floor`]), it is not below the floor.
#[inline]
#[must_use]
pub fn now() -> UnixMillis {
    // The floor hardly ever changes, so that the cores share its cache line without writing it.
    UnixMillis(wall().0.max(FLOOR.load(Ordering::Relaxed)))
}

/// The wall clock, without a floor.
#[inline]
#[must_use]
pub fn wall() -> UnixMillis {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))
}

/// Sets the floor of [`now`] for the whole process, or removes it.
pub fn set_floor(floor: Option<UnixMillis>) {
    FLOOR.store(floor.map_or(i64::MIN, |floor| floor.0), Ordering::Relaxed);
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

    #[test]
    fn a_floor_holds_until_it_is_removed() {
        let floor = wall().plus_seconds(1000);
        set_floor(Some(floor));
        assert_eq!(now(), floor);
        set_floor(None);
        assert!(now() < floor);
    }
}
