//! The epochs to which a node's changes belong.
//!
//! An epoch has a number and a random id. The ids differ if two nodes were promoted to the same
//! epoch number. A replica takes over the whole history of its primary. Two histories that share an
//! epoch are therefore equal before it, and their nodes hold the same changes up to the end of the
//! last epoch that they share.

use std::fmt;

use crate::ids::{Epoch, Position, Sequence};
use crate::limits::EPOCH_HISTORY_EPOCHS;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), u128::from_be_bytes(self.0))
            }
        }
    };
}

name! {
    /// The random id of an epoch.
    EpochId
}
name! {
    /// The random name of a copy, drawn by its sender.
    CopyName
}

/// The start of an epoch. Its changes are those after `after`, up to the start of the next epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    /// Its number.
    pub epoch: Epoch,
    /// Its random id.
    pub id: EpochId,
    /// The last sequence before it.
    pub after: Sequence,
}

/// The epochs that a node knows, oldest first. Their numbers rise, and none starts before its
/// predecessor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochHistory {
    /// Never empty.
    starts: Vec<EpochStart>,
}

/// Why epochs are not a valid history, or not one for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EpochHistoryError {
    /// They cannot follow one another, or there are none or too many.
    #[error("the epochs are out of order, too many, or none")]
    Invalid,
    /// A promotion to an epoch that is not newer than all known ones.
    #[error("epoch {} is not after epoch {}, the newest that is known here", asked.0, newest.0)]
    Passed {
        /// The epoch asked for.
        asked: Epoch,
        /// The newest known one.
        newest: Epoch,
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

    /// A history of these epochs, oldest first.
    ///
    /// # Errors
    /// [`EpochHistoryError::Invalid`] if there are none or too many, their numbers do not rise, or
    /// one starts before its predecessor.
    pub fn new(starts: Vec<EpochStart>) -> Result<Self, EpochHistoryError> {
        let follows = |(one, next): (&EpochStart, &EpochStart)| {
            one.epoch < next.epoch && one.after <= next.after
        };
        let in_order = starts.iter().zip(starts.iter().skip(1)).all(follows);
        if starts.is_empty() || starts.len() > EPOCH_HISTORY_EPOCHS || !in_order {
            return Err(EpochHistoryError::Invalid);
        }
        Ok(Self { starts })
    }

    /// The epochs, oldest first.
    #[must_use]
    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    /// The number of the newest epoch.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.starts.last().map_or(Epoch::FIRST, |start| start.epoch)
    }

    /// The id of the newest epoch.
    #[must_use]
    pub fn newest_id(&self) -> EpochId {
        self.starts
            .last()
            .map_or(EpochId([0; 16]), |start| start.id)
    }

    /// The epoch of the change with this sequence. `None` for sequence 0 and for changes before the
    /// oldest known epoch.
    #[must_use]
    pub fn epoch_of(&self, sequence: Sequence) -> Option<Epoch> {
        let mut newest_first = self.starts.iter().rev();
        let start = newest_first.find(|start| start.after < sequence);
        start.map(|start| start.epoch)
    }

    /// Whether a change can have this position. True for sequence 0, the position before the first
    /// change.
    #[must_use]
    pub fn has(&self, position: Position) -> bool {
        position.sequence == Sequence(0) || self.epoch_of(position.sequence) == Some(position.epoch)
    }

    /// The history of a node that holds the changes up to `after` and starts the epoch `epoch`.
    ///
    /// # Errors
    /// [`EpochHistoryError::Passed`] if the epoch is not newer than all known ones.
    pub fn promoted(
        &self,
        epoch: Epoch,
        id: EpochId,
        after: Sequence,
    ) -> Result<Self, EpochHistoryError> {
        let newest = self.newest();
        if epoch <= newest {
            return Err(EpochHistoryError::Passed {
                asked: epoch,
                newest,
            });
        }
        // A replica knows its primary's epochs before it has their changes. Epochs that started
        // after its last change are no part of its past.
        let past = self.starts.iter().filter(|start| start.after <= after);
        let mut starts: Vec<_> = past.copied().collect();
        starts.push(EpochStart { epoch, id, after });
        let forgotten = starts.len().saturating_sub(EPOCH_HISTORY_EPOCHS);
        starts.drain(..forgotten);
        Ok(Self { starts })
    }

    /// The last sequence up to which nodes with these histories certainly hold the same changes.
    /// `u64::MAX` if both are still in the same epoch.
    #[must_use]
    pub fn fork(&self, other: &Self) -> Sequence {
        let shared = |start: &&EpochStart| other.end_of(start).is_some();
        let Some(last) = self.starts.iter().rev().find(shared) else {
            return Sequence(0);
        };
        let ends = [self.end_of(last), other.end_of(last)];
        ends.into_iter().flatten().min().unwrap_or(Sequence(0))
    }

    /// The last sequence of an epoch; `u64::MAX` for the newest. `None` if this history does not
    /// contain it.
    fn end_of(&self, start: &EpochStart) -> Option<Sequence> {
        let place = self
            .starts
            .iter()
            .position(|known| known.epoch == start.epoch && known.id == start.id)?;
        let next = self.starts.get(place + 1);
        Some(next.map_or(Sequence(u64::MAX), |next| next.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(epoch: u64, name: u8, after: u64) -> EpochStart {
        EpochStart {
            epoch: Epoch(epoch),
            id: EpochId([name; 16]),
            after: Sequence(after),
        }
    }

    fn epochs(starts: &[EpochStart]) -> EpochHistory {
        EpochHistory::new(starts.to_vec()).unwrap()
    }

    #[test]
    fn epochs_are_in_order() {
        for starts in [
            vec![],
            vec![start(2, 1, 0), start(2, 2, 5)],
            vec![start(1, 1, 5), start(2, 2, 4)],
            (0..=EPOCH_HISTORY_EPOCHS as u64)
                .map(|n| start(n, 1, n))
                .collect(),
        ] {
            assert_eq!(EpochHistory::new(starts), Err(EpochHistoryError::Invalid));
        }
    }

    #[test]
    fn a_sequence_belongs_to_one_epoch() {
        let epochs = epochs(&[
            start(1, 1, 0),
            start(3, 2, 5),
            start(4, 3, 5),
            start(9, 4, 8),
        ]);
        let epochs = [0, 1, 5, 6, 8, 9, 100].map(|n| epochs.epoch_of(Sequence(n)));
        let expected = [None, Some(1), Some(1), Some(4), Some(4), Some(9), Some(9)];
        assert_eq!(epochs, expected.map(|epoch| epoch.map(Epoch)));
    }

    #[test]
    fn a_promotion_drops_epochs_that_began_beyond_the_last_change() {
        let known = epochs(&[start(1, 1, 0), start(2, 2, 5)]);
        let promoted = known.promoted(Epoch(3), EpochId([3; 16]), Sequence(4));
        assert_eq!(promoted.unwrap().starts(), [start(1, 1, 0), start(3, 3, 4)]);
        let again = known.promoted(Epoch(2), EpochId([3; 16]), Sequence(9));
        let passed = EpochHistoryError::Passed {
            asked: Epoch(2),
            newest: Epoch(2),
        };
        assert_eq!(again, Err(passed));
    }

    #[test]
    fn epoch_histories_fork_where_their_last_common_epoch_ends_first() {
        let old = epochs(&[start(1, 1, 0)]);
        let new = epochs(&[start(1, 1, 0), start(2, 2, 8)]);
        let rival = epochs(&[start(1, 1, 0), start(2, 3, 6)]);
        let stranger = epochs(&[start(1, 9, 0)]);
        assert_eq!(old.fork(&new), Sequence(8));
        assert_eq!(new.fork(&old), Sequence(8));
        assert_eq!(new.fork(&rival), Sequence(6));
        assert_eq!(new.fork(&new), Sequence(u64::MAX));
        assert_eq!(new.fork(&stranger), Sequence(0));
    }

    #[test]
    fn a_replica_that_is_behind_is_promoted_from_where_it_is() {
        let known = epochs(&[start(1, 1, 0), start(2, 2, 8), start(3, 3, 9)]);
        let promoted = known.promoted(Epoch(4), EpochId([4; 16]), Sequence(8));
        let expected = [start(1, 1, 0), start(2, 2, 8), start(4, 4, 8)];
        assert_eq!(promoted.unwrap().starts(), expected);
        let promoted = known.promoted(Epoch(4), EpochId([4; 16]), Sequence(7));
        assert_eq!(promoted.unwrap().starts(), [start(1, 1, 0), start(4, 4, 7)]);
        let passed = known.promoted(Epoch(3), EpochId([4; 16]), Sequence(7));
        assert!(passed.is_err());
    }

    #[test]
    fn the_oldest_epochs_are_forgotten() {
        let mut long = EpochHistory::first(EpochId([0; 16]));
        for epoch in 2..=EPOCH_HISTORY_EPOCHS as u64 + 5 {
            long = long
                .promoted(Epoch(epoch), EpochId([1; 16]), Sequence(epoch))
                .unwrap();
        }
        assert_eq!(long.starts().len(), EPOCH_HISTORY_EPOCHS);
        assert_eq!(long.starts()[0].epoch, Epoch(6));
        assert_eq!(long.epoch_of(Sequence(6)), None);
        assert_eq!(long.epoch_of(Sequence(7)), Some(Epoch(6)));
    }
}
