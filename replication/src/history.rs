//! The epochs that a node's changes belong to, and what follows from comparing those of two nodes.
//!
//! Guarantees: two histories that share an epoch id are equal before that epoch, because the id is
//! random and a node adopts the history of its primary as a whole. So the last epoch that two nodes
//! share ends at their *fork*, and a node may follow another one exactly when it holds no change
//! beyond the fork.

use std::fmt;

use talos_model::{Epoch, Position, Sequence};

use crate::limits::HISTORY_EPOCHS;

/// The random id of an epoch, by which two nodes that were promoted to the same epoch number are
/// told apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EpochId(pub [u8; 16]);

impl fmt::Debug for EpochId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EpochId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// One epoch: its changes have the sequences after `after`, up to where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number.
    pub epoch: Epoch,
    /// Its name.
    pub id: EpochId,
    /// The last sequence before it.
    pub after: Sequence,
}

/// The epochs that a node knows, oldest first. Epoch numbers rise, and no epoch begins before its
/// predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochHistory {
    starts: Vec<EpochStart>,
}

/// These epochs cannot have followed one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the epochs of a history are out of order, too many, or none")]
pub struct InvalidHistory;

/// A node cannot become the primary of this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("epoch {} is not after epoch {}, the newest that this node knows", asked.0, newest.0)]
pub struct EpochPassed {
    /// The epoch it should become the primary of.
    pub asked: Epoch,
    /// The newest that it knows.
    pub newest: Epoch,
}

/// What a primary finds when it compares a replica's history with its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// The primary holds all changes of the replica.
    None,
    /// The replica knows a later epoch: the primary has been replaced.
    PrimaryIsOlder {
        /// The newest epoch that the replica knows.
        newest: Epoch,
    },
    /// The replica holds changes after `fork` that the primary does not have.
    Diverged {
        /// The last sequence that both have.
        fork: Sequence,
    },
}

impl EpochHistory {
    /// The history of a new database.
    #[must_use]
    pub fn first(id: EpochId) -> Self {
        let start = EpochStart {
            epoch: Epoch::FIRST,
            id,
            after: Sequence(0),
        };
        Self {
            starts: vec![start],
        }
    }

    /// The history of these epochs.
    ///
    /// # Errors
    /// There are none or too many, epochs do not rise, or one begins before its predecessor.
    pub fn new(starts: Vec<EpochStart>) -> Result<Self, InvalidHistory> {
        let ordered = starts
            .iter()
            .zip(starts.iter().skip(1))
            .all(|(one, next)| one.epoch < next.epoch && one.after <= next.after);
        if starts.is_empty() || starts.len() > HISTORY_EPOCHS || !ordered {
            return Err(InvalidHistory);
        }
        Ok(Self { starts })
    }

    /// The epochs, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// The newest epoch.
    fn last(&self) -> Option<&EpochStart> {
        self.starts.last()
    }

    /// The number of the newest epoch. A node follows no primary of an older one.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.last().map_or(Epoch(0), |era| era.epoch)
    }

    /// The id of the newest epoch.
    #[must_use]
    pub fn newest_id(&self) -> EpochId {
        self.last().map_or(EpochId([0; 16]), |era| era.id)
    }

    /// The history of a node that holds the changes up to `after` and becomes the primary of
    /// `epoch`. Make it durable before the first change of the epoch.
    ///
    /// # Errors
    /// The epoch is not later than all that the node knows.
    pub fn promoted(
        &self,
        epoch: Epoch,
        id: EpochId,
        after: Sequence,
    ) -> Result<Self, EpochPassed> {
        let newest = self.newest();
        if epoch <= newest {
            return Err(EpochPassed {
                asked: epoch,
                newest,
            });
        }
        // A replica knows its primary's epochs before it has their changes. Epochs that began
        // beyond its last change are not part of its own past.
        let past = self.starts.iter().filter(|era| era.after <= after);
        let mut starts: Vec<_> = past.copied().collect();
        starts.push(EpochStart { epoch, id, after });
        let forgotten = starts.len().saturating_sub(HISTORY_EPOCHS);
        starts.drain(..forgotten);
        Ok(Self { starts })
    }

    /// The epoch of the change with this sequence. `None` if it is older than all remembered
    /// epochs, and for sequence 0.
    #[must_use]
    pub fn epoch_of(&self, sequence: Sequence) -> Option<Epoch> {
        let holds = |era: &&EpochStart| era.after < sequence;
        self.starts.iter().rev().find(holds).map(|era| era.epoch)
    }

    /// The last sequence of the epoch at `place`, of a node that holds the changes up to
    /// `committed`.
    fn end(&self, place: usize, committed: Sequence) -> Sequence {
        self.starts
            .get(place + 1)
            .map_or(committed, |next| next.after)
    }

    /// Whether a node with this history that holds the changes up to `committed` holds the change
    /// at `position`. A position of another history is never reached.
    #[must_use]
    pub fn reaches(&self, committed: Sequence, position: Position) -> bool {
        position.sequence <= committed
            && (position.sequence.0 == 0
                || self.epoch_of(position.sequence) == Some(position.epoch))
    }

    /// Compares this history, of a primary that holds the changes up to `committed`, with that of a
    /// replica.
    #[must_use]
    pub fn compare(
        &self,
        committed: Sequence,
        replica: &Self,
        replica_committed: Sequence,
    ) -> Divergence {
        if replica.newest() > self.newest() {
            return Divergence::PrimaryIsOlder {
                newest: replica.newest(),
            };
        }
        let fork = self.fork(committed, replica, replica_committed);
        if replica_committed > fork {
            return Divergence::Diverged { fork };
        }
        Divergence::None
    }

    /// The last sequence that both have; 0 if they share no epoch.
    fn fork(&self, committed: Sequence, other: &Self, other_committed: Sequence) -> Sequence {
        let shared = self
            .starts
            .iter()
            .enumerate()
            .rev()
            .find_map(|(here, era)| {
                let same = |(_, other): &(usize, &EpochStart)| other.id == era.id;
                let (there, _) = other.starts.iter().enumerate().find(same)?;
                Some((here, there))
            });
        shared.map_or(Sequence(0), |(here, there)| {
            self.end(here, committed)
                .min(other.end(there, other_committed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: u8) -> EpochId {
        EpochId([name; 16])
    }

    fn history(starts: &[(u64, u8, u64)]) -> EpochHistory {
        let start = |&(epoch, name, after): &(u64, u8, u64)| EpochStart {
            epoch: Epoch(epoch),
            id: id(name),
            after: Sequence(after),
        };
        EpochHistory::new(starts.iter().map(era).collect()).unwrap()
    }

    fn at(epoch: u64, sequence: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        }
    }

    #[test]
    fn epochs_rise_and_reigns_follow_one_another() {
        let first = EpochHistory::first(id(1));
        let second = first.promoted(Epoch(2), id(2), Sequence(8)).unwrap();
        assert_eq!(second, history(&[(1, 1, 0), (2, 2, 8)]));
        assert_eq!(
            second.promoted(Epoch(2), id(3), Sequence(9)),
            Err(EpochPassed {
                asked: Epoch(2),
                newest: Epoch(2)
            })
        );
        let start = |epoch, after| EpochStart {
            epoch: Epoch(epoch),
            id: id(0),
            after: Sequence(after),
        };
        assert!(EpochHistory::new(vec![]).is_err());
        assert!(EpochHistory::new(vec![era(2, 0), era(2, 0)]).is_err());
        assert!(EpochHistory::new(vec![era(1, 5), era(2, 4)]).is_err());
    }

    #[test]
    fn a_replica_that_is_behind_is_promoted_from_where_it_is() {
        let known = history(&[(1, 1, 0), (2, 2, 8), (3, 3, 9)]);
        let promoted = known.promoted(Epoch(4), id(4), Sequence(8)).unwrap();
        assert_eq!(promoted, history(&[(1, 1, 0), (2, 2, 8), (4, 4, 8)]));
        let promoted = known.promoted(Epoch(4), id(4), Sequence(7)).unwrap();
        assert_eq!(promoted, history(&[(1, 1, 0), (4, 4, 7)]));
        assert!(known.promoted(Epoch(3), id(4), Sequence(7)).is_err());
    }

    #[test]
    fn the_oldest_epochs_are_forgotten() {
        let mut long = EpochHistory::first(id(0));
        for epoch in 2..=HISTORY_EPOCHS as u64 + 5 {
            long = long.promoted(Epoch(epoch), id(1), Sequence(epoch)).unwrap();
        }
        assert_eq!(long.starts().len(), HISTORY_EPOCHS);
        assert_eq!(long.starts()[0].epoch, Epoch(6));
        assert_eq!(long.epoch_of(Sequence(6)), None);
        assert_eq!(long.epoch_of(Sequence(7)), Some(Epoch(6)));
    }

    #[test]
    fn a_position_of_another_lineage_is_not_reached() {
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
        let compare = |replica: &EpochHistory, committed| {
            primary.compare(Sequence(12), replica, Sequence(committed))
        };
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
    fn a_primary_of_an_older_epoch_is_told_so() {
        let primary = history(&[(1, 1, 0)]);
        let newer = history(&[(1, 1, 0), (2, 2, 8)]);
        assert_eq!(
            primary.compare(Sequence(20), &newer, Sequence(8)),
            Divergence::PrimaryIsOlder { newest: Epoch(2) }
        );
    }
}
