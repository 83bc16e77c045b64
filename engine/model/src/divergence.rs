//! Comparing the epoch histories of a primary and a replica.
//!
//! A replica may follow a primary exactly when it holds no change beyond the fork of their epoch
//! histories.

use crate::epoch_history::EpochHistory;
use crate::ids::{Epoch, Position, Sequence};

/// What a primary finds when it compares a replica's epoch history with its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The primary holds all changes of the replica.
    None,
    /// The replica knows a later epoch: the primary has been replaced.
    PrimaryIsOlder {
        /// The newest epoch that the replica knows.
        newest: Epoch,
    },
    /// The replica holds changes after `fork` that the primary does not hold.
    Diverged {
        /// The last sequence that both hold.
        fork: Sequence,
    },
}

impl EpochHistory {
    /// Compares the history of a primary that has committed the changes up to `committed` with that
    /// of a replica that holds the changes up to `held`.
    #[must_use]
    pub fn compare(&self, committed: Sequence, replica: &Self, held: Sequence) -> Divergence {
        let newest = replica.newest();
        if newest > self.newest() {
            return Divergence::PrimaryIsOlder { newest };
        }
        let fork = match self.fork(replica) {
            // Both are in the same newest epoch.
            Sequence(u64::MAX) => committed,
            fork => fork,
        };
        if held > fork {
            return Divergence::Diverged { fork };
        }
        Divergence::None
    }

    /// Whether a node that has this history and the changes up to `committed` holds the change at
    /// `position`. False for positions of epochs that are not part of this history.
    #[must_use]
    pub fn reaches(&self, committed: Sequence, position: Position) -> bool {
        position.sequence <= committed && self.has(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch_history::{EpochId, EpochStart};

    fn history(starts: &[(u64, u8, u64)]) -> EpochHistory {
        let start = |&(epoch, id, after): &(u64, u8, u64)| EpochStart {
            epoch: Epoch(epoch),
            id: EpochId([id; 16]),
            after: Sequence(after),
        };
        EpochHistory::new(starts.iter().map(start).collect()).unwrap()
    }

    fn at(epoch: u64, sequence: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        }
    }

    #[test]
    fn a_position_of_another_history_is_not_reached() {
        let node = history(&[(1, 1, 0), (2, 2, 8)]);
        for reached in [at(1, 0), at(1, 8), at(2, 9), at(2, 12)] {
            assert!(node.reaches(Sequence(12), reached), "{reached}");
        }
        for not in [at(1, 9), at(2, 8), at(2, 13), at(3, 12)] {
            assert!(!node.reaches(Sequence(12), not), "{not}");
        }
    }

    #[test]
    fn a_replica_may_follow_up_to_the_fork() {
        let primary = history(&[(1, 1, 0), (2, 2, 8)]);
        let compare =
            |replica: &EpochHistory, held| primary.compare(Sequence(12), replica, Sequence(held));
        let old = history(&[(1, 1, 0)]);
        assert_eq!(compare(&old, 0), Divergence::None);
        assert_eq!(compare(&old, 8), Divergence::None);
        let diverged = Divergence::Diverged { fork: Sequence(8) };
        assert_eq!(compare(&old, 9), diverged);
        assert_eq!(compare(&primary, 12), Divergence::None);
        // A replica must not keep what its primary has lost.
        let beyond = Divergence::Diverged { fork: Sequence(12) };
        assert_eq!(compare(&primary, 13), beyond);
        // Another node was promoted to the same epoch.
        let rival = history(&[(1, 1, 0), (2, 3, 6)]);
        assert_eq!(compare(&rival, 6), Divergence::None);
        let diverged = Divergence::Diverged { fork: Sequence(6) };
        assert_eq!(compare(&rival, 7), diverged);
        let stranger = history(&[(1, 9, 0)]);
        assert_eq!(compare(&stranger, 0), Divergence::None);
        let diverged = Divergence::Diverged { fork: Sequence(0) };
        assert_eq!(compare(&stranger, 1), diverged);
    }

    #[test]
    fn a_primary_of_an_older_epoch_is_recognised() {
        let primary = history(&[(1, 1, 0)]);
        let newer = history(&[(1, 1, 0), (2, 2, 8)]);
        assert_eq!(
            primary.compare(Sequence(20), &newer, Sequence(8)),
            Divergence::PrimaryIsOlder { newest: Epoch(2) }
        );
    }
}
