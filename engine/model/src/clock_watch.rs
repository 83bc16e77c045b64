//! Compares the wall clock with a monotonic one, and finds jumps. Pure: the readings are passed in.

use crate::clock::UnixMillis;

/// A jump is reported if it is greater than this, however small the tolerance is: the two clocks
/// are not read at one instant.
const TOLERANCE_MIN_MS: u64 = 1000;
/// Steps of the wall clock within this time are added up.
const WINDOW_MS: u64 = 60_000;

/// Two clocks, read at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// The wall clock.
    pub wall: UnixMillis,
    /// A clock that counts evenly, also while the machine is suspended, in milliseconds.
    pub monotonic_ms: u64,
}

/// A jump of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// How far the clock jumped, in milliseconds; negative = back.
    pub by_ms: i64,
    /// How far the clock is now from where it was at the start, in milliseconds, the time that has
    /// passed since aside.
    pub offset_ms: i64,
}

/// Watches the wall clock of a process.
#[derive(Clone, Debug)]
pub struct ClockWatch {
    start: ClockReading,
    tolerance_ms: u64,
    offset_ms: i64,
    /// The offset that the next one is compared with, and when it was read.
    anchor_ms: i64,
    anchored_ms: u64,
}

impl ClockWatch {
    /// Starts at `start`. Jumps up to `tolerance_ms` are not reported.
    #[must_use]
    pub fn new(start: ClockReading, tolerance_ms: u64) -> Self {
        Self {
            start,
            tolerance_ms: tolerance_ms.max(TOLERANCE_MIN_MS),
            offset_ms: 0,
            anchor_ms: 0,
            anchored_ms: start.monotonic_ms,
        }
    }

    /// How far the wall clock is from where it was at the start, in milliseconds, the time that
    /// has passed since aside.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Compares `reading` with those before. A slow correction of the clock is no jump.
    pub fn read(&mut self, reading: ClockReading) -> Option<Jump> {
        let passed = i128::from(reading.monotonic_ms) - i128::from(self.start.monotonic_ms);
        let moved = i128::from(reading.wall.0) - i128::from(self.start.wall.0);
        let offset = (moved - passed).clamp(i64::MIN.into(), i64::MAX.into());
        self.offset_ms = i64::try_from(offset).unwrap_or_default();
        let by_ms = self.offset_ms.saturating_sub(self.anchor_ms);
        let has_jumped = by_ms.unsigned_abs() > self.tolerance_ms;
        if has_jumped || reading.monotonic_ms.saturating_sub(self.anchored_ms) >= WINDOW_MS {
            self.anchor_ms = self.offset_ms;
            self.anchored_ms = reading.monotonic_ms;
        }
        has_jumped.then_some(Jump {
            by_ms,
            offset_ms: self.offset_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn reading(monotonic_ms: u64, offset_ms: i64) -> ClockReading {
        ClockReading {
            wall: UnixMillis(1_800_000_000_000 + monotonic_ms.cast_signed() + offset_ms),
            monotonic_ms,
        }
    }

    #[test]
    fn a_jump_and_its_correction_are_reported_once_each() {
        let mut watch = ClockWatch::new(reading(500, 0), 300_000);
        assert_eq!(watch.read(reading(1000, 0)), None);
        let ahead = Jump {
            by_ms: 2 * HOUR_MS,
            offset_ms: 2 * HOUR_MS,
        };
        assert_eq!(watch.read(reading(1500, 2 * HOUR_MS)), Some(ahead));
        assert_eq!(watch.read(reading(2000, 2 * HOUR_MS)), None);
        let back = Jump {
            by_ms: -2 * HOUR_MS,
            offset_ms: 0,
        };
        assert_eq!(watch.read(reading(2500, 0)), Some(back));
        assert_eq!(watch.read(reading(3000, 0)), None);
    }

    #[test]
    fn a_long_pause_of_the_process_is_no_jump() {
        let mut watch = ClockWatch::new(reading(0, 0), 0);
        assert_eq!(watch.read(reading(9_000_000, 0)), None);
        assert_eq!(watch.offset_ms(), 0);
    }

    #[test]
    fn steps_within_a_minute_are_added_up_and_a_slow_drift_is_not() {
        let jumps = |step_ms: i64, pause_ms: u64| {
            let mut watch = ClockWatch::new(reading(0, 0), 10_000);
            let readings = (1..=20_i64).map(|n| reading(n.cast_unsigned() * pause_ms, n * step_ms));
            let jumps = readings.filter_map(|reading| watch.read(reading)).count();
            (jumps, watch.offset_ms())
        };
        assert_eq!(jumps(6000, 1000), (10, 120_000));
        assert_eq!(jumps(6000, 61_000), (0, 120_000));
        assert_eq!(jumps(-6000, 1000), (10, -120_000));
    }

    #[test]
    fn what_exceeds_the_tolerance_is_a_jump() {
        for (tolerance, by, is_jump) in [
            (5000, 5000, false),
            (5000, 5001, true),
            (5000, -5000, false),
            (5000, -5001, true),
            // Without a tolerance there is still that of reading two clocks.
            (0, 1000, false),
            (0, 1001, true),
        ] {
            let mut watch = ClockWatch::new(reading(0, 0), tolerance);
            let found = watch.read(reading(10, by)).map(|jump| jump.by_ms);
            assert_eq!(found, is_jump.then_some(by), "{tolerance} {by}");
        }
    }

    #[test]
    fn clocks_at_their_limits_are_read() {
        let far = |wall| ClockReading {
            wall: UnixMillis(wall),
            monotonic_ms: 0,
        };
        let mut watch = ClockWatch::new(far(i64::MIN), 0);
        assert!(watch.read(far(i64::MAX)).is_some());
        let mut watch = ClockWatch::new(far(i64::MAX), 0);
        assert!(watch.read(far(0)).is_some());
    }
}
