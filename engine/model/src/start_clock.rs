//! Judges the wall clock when a server starts: it may be behind what the server has written.

use crate::clock::UnixMillis;

/// What an operator has said about a clock that was behind the newest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedClock {
    /// The time of the newest change then. This time and every earlier one in the log may be in
    /// the future.
    pub newest_change: UnixMillis,
    /// The wall clock then, which was right.
    pub wall: UnixMillis,
}

/// The judgement about the wall clock of a server that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartClock {
    /// Nothing is known that contradicts the clock.
    Plausible,
    /// The clock is behind this time, which has certainly passed, by more than the tolerance.
    Behind(UnixMillis),
}

impl StartClock {
    /// Judges the clock `wall`. `newest_change` is the time of the newest durable change; `None` =
    /// there is none. The clocks of two nodes may differ by `tolerance_ms`.
    #[must_use]
    pub fn judge(
        wall: UnixMillis,
        newest_change: Option<UnixMillis>,
        accepted: Option<AcceptedClock>,
        tolerance_ms: u64,
    ) -> Self {
        let Some(newest_change) = newest_change else {
            return Self::Plausible;
        };
        let passed = match accepted {
            Some(accepted) if newest_change <= accepted.newest_change => accepted.wall,
            _ => newest_change,
        };
        if is_behind(wall, passed, tolerance_ms) {
            Self::Behind(passed)
        } else {
            Self::Plausible
        }
    }
}

/// Whether the clock `wall` is behind `passed` by more than the tolerance.
#[must_use]
pub fn is_behind(wall: UnixMillis, passed: UnixMillis, tolerance_ms: u64) -> bool {
    i128::from(wall.0) + i128::from(tolerance_ms) < i128::from(passed.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW_MS: u64 = 300_000;
    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    const NOW: i64 = 1_800_000_000_000;

    fn judge(wall: i64, newest: i64, accepted: Option<(i64, i64)>) -> StartClock {
        let accepted = accepted.map(|(newest_change, wall)| AcceptedClock {
            newest_change: UnixMillis(newest_change),
            wall: UnixMillis(wall),
        });
        let newest = Some(UnixMillis(newest));
        StartClock::judge(UnixMillis(wall), newest, accepted, SKEW_MS)
    }

    #[test]
    fn a_clock_behind_the_newest_change_by_more_than_the_tolerance_is_not_believed() {
        let behind = StartClock::Behind(UnixMillis(NOW));
        assert_eq!(judge(NOW - 5 * YEAR_MS, NOW, None), behind);
        assert_eq!(judge(NOW - 300_001, NOW, None), behind);
        assert_eq!(judge(NOW - 300_000, NOW, None), StartClock::Plausible);
        assert_eq!(judge(NOW + 5 * YEAR_MS, NOW, None), StartClock::Plausible);
    }

    #[test]
    fn without_a_change_every_clock_is_believed() {
        let judged = StartClock::judge(UnixMillis(0), None, None, 0);
        assert_eq!(judged, StartClock::Plausible);
    }

    #[test]
    fn an_accepted_clock_is_what_later_starts_are_compared_with() {
        let wrong = NOW + 5 * YEAR_MS;
        let accepted = Some((wrong, NOW));
        assert_eq!(judge(NOW, wrong, accepted), StartClock::Plausible);
        assert_eq!(judge(NOW + 1000, wrong, accepted), StartClock::Plausible);
        let behind = StartClock::Behind(UnixMillis(NOW));
        assert_eq!(judge(NOW - YEAR_MS, wrong, accepted), behind);
        // A change of a later time was not accepted.
        let later = wrong + 1;
        let behind = StartClock::Behind(UnixMillis(later));
        assert_eq!(judge(NOW, later, accepted), behind);
    }
}
