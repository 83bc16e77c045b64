//! Measures for how long a replica has been behind.

use std::collections::VecDeque;

use talos_model::Sequence;

/// The most committed positions that are remembered.
const POSITIONS: usize = 64;

/// A committed position that the replica lacks.
#[derive(Debug)]
struct Missing {
    committed: Sequence,
    since_ms: u64,
}

/// When the changes that a replica lacks became durable at the primary.
#[derive(Debug, Default)]
pub(super) struct LagTimer {
    durable: Sequence,
    /// Committed positions that the replica lacks, each with the time when it was first seen.
    missing: VecDeque<Missing>,
}

impl LagTimer {
    /// The primary has committed the changes up to `committed`.
    pub(super) fn on_committed(&mut self, now_ms: u64, committed: Sequence) {
        let newest = self
            .missing
            .back()
            .map_or(self.durable, |newest| newest.committed);
        if committed <= newest {
            return;
        }
        if self.missing.len() < POSITIONS {
            self.missing.push_back(Missing {
                committed,
                since_ms: now_ms,
            });
        } else if let Some(newest) = self.missing.back_mut() {
            // The new position inherits the older time: the lag is overstated, never understated.
            newest.committed = committed;
        }
    }

    /// The replica holds the changes up to `durable`.
    pub(super) fn on_durable(&mut self, durable: Sequence) {
        self.durable = durable;
        while self
            .missing
            .front()
            .is_some_and(|oldest| oldest.committed <= durable)
        {
            self.missing.pop_front();
        }
    }

    /// Since when the replica lacks a change, by the monotonic clock. `None` if it lacks none.
    pub(super) fn since_ms(&self) -> Option<u64> {
        self.missing.front().map(|oldest| oldest.since_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_missing_position_counts() {
        let mut timer = LagTimer::default();
        timer.on_durable(Sequence(5));
        timer.on_committed(10, Sequence(5));
        assert_eq!(timer.since_ms(), None);
        timer.on_committed(20, Sequence(7));
        timer.on_committed(30, Sequence(7));
        timer.on_committed(40, Sequence(9));
        assert_eq!(timer.since_ms(), Some(20));
        timer.on_durable(Sequence(8));
        assert_eq!(timer.since_ms(), Some(40));
        timer.on_durable(Sequence(9));
        assert_eq!(timer.since_ms(), None);
    }

    #[test]
    fn positions_beyond_the_limit_overstate_the_lag() {
        let mut timer = LagTimer::default();
        let positions = POSITIONS as u64 + 10;
        for committed in 1..=positions {
            timer.on_committed(committed * 10, Sequence(committed));
        }
        assert_eq!(timer.missing.len(), POSITIONS);
        timer.on_durable(Sequence(positions - 1));
        assert_eq!(timer.since_ms(), Some(POSITIONS as u64 * 10));
        timer.on_durable(Sequence(positions));
        assert_eq!(timer.since_ms(), None);
    }
}
