//! The reigns that a node's changes belong to.
//!
//! A reign has a number, its epoch, and a random name, so that two nodes that were promoted to the same epoch are told apart.
//! Two lineages that share a reign are equal before it, because a node takes over that of its primary as a whole: up to the
//! end of the last reign that they share, their changes are the same.

use std::fmt;

use crate::ids::{Epoch, Position, Sequence};
use crate::limits::LINEAGE_ERAS;

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
    /// The random name of a reign.
    Reign
}
name! {
    /// The name of a copy, drawn by whoever sends it.
    CopyName
}

/// One reign: its changes are those after `after`, up to where the next reign begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Era {
    /// Its number.
    pub epoch: Epoch,
    /// Its name.
    pub reign: Reign,
    /// The last sequence before it.
    pub after: Sequence,
}

/// The reigns that a node knows of, oldest first. Epochs rise, and none begins before the one that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    cluster: [u8; 16],
    /// Never empty.
    eras: Vec<Era>,
}

/// These reigns are no lineage, or not one for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineageError {
    /// They cannot have followed one another.
    #[error("the epochs of a lineage are out of order, too many, or none")]
    Invalid,
    /// A promotion needs a later epoch.
    #[error("epoch {} is not after epoch {}, the newest that is known here", asked.0, newest.0)]
    Passed {
        /// The epoch asked for.
        asked: Epoch,
        /// The newest known one.
        newest: Epoch,
    },
}

impl Lineage {
    /// That of a new database.
    #[must_use]
    pub fn first(cluster: [u8; 16], reign: Reign) -> Self {
        let era = Era {
            epoch: Epoch::FIRST,
            reign,
            after: Sequence(0),
        };
        Self {
            cluster,
            eras: vec![era],
        }
    }

    /// That of these reigns.
    ///
    /// # Errors
    /// They are none or too many, epochs do not rise, or one begins before its predecessor.
    pub fn new(cluster: [u8; 16], eras: Vec<Era>) -> Result<Self, LineageError> {
        let follows = |(one, next): (&Era, &Era)| one.epoch < next.epoch && one.after <= next.after;
        let in_order = eras.iter().zip(eras.iter().skip(1)).all(follows);
        if eras.is_empty() || eras.len() > LINEAGE_ERAS || !in_order {
            return Err(LineageError::Invalid);
        }
        Ok(Self { cluster, eras })
    }

    /// What all nodes that share a history have in common; drawn when the first database of them is made.
    #[must_use]
    pub fn cluster(&self) -> [u8; 16] {
        self.cluster
    }

    /// The reigns, oldest first.
    #[must_use]
    pub fn eras(&self) -> &[Era] {
        &self.eras
    }

    /// The newest epoch.
    #[must_use]
    pub fn newest(&self) -> Epoch {
        self.eras.last().map_or(Epoch::FIRST, |era| era.epoch)
    }

    /// The epoch in which the change with this sequence is written; `None` for none, and for one before all that is known.
    #[must_use]
    pub fn epoch_of(&self, sequence: Sequence) -> Option<Epoch> {
        let mut newest_first = self.eras.iter().rev();
        let era = newest_first.find(|era| era.after < sequence);
        era.map(|era| era.epoch)
    }

    /// Whether a change may stand at this place; so may the place before the first one.
    #[must_use]
    pub fn has(&self, position: Position) -> bool {
        position.sequence == Sequence(0) || self.epoch_of(position.sequence) == Some(position.epoch)
    }

    /// The lineage of a node that holds the changes up to `after` and begins the reign `epoch`.
    ///
    /// # Errors
    /// The epoch is not later than all that are known.
    pub fn promoted(
        &self,
        epoch: Epoch,
        reign: Reign,
        after: Sequence,
    ) -> Result<Self, LineageError> {
        let newest = self.newest();
        if epoch <= newest {
            return Err(LineageError::Passed {
                asked: epoch,
                newest,
            });
        }
        // A replica knows its primary's reigns before it has their changes. What began beyond its last change is no part of
        // its past.
        let past = self.eras.iter().filter(|era| era.after <= after);
        let mut eras: Vec<_> = past.copied().collect();
        eras.push(Era {
            epoch,
            reign,
            after,
        });
        let forgotten = eras.len().saturating_sub(LINEAGE_ERAS);
        eras.drain(..forgotten);
        Ok(Self {
            cluster: self.cluster,
            eras,
        })
    }

    /// The last sequence up to which nodes of these lineages are sure to hold the same changes; any if the reign that lasts
    /// is the same.
    #[must_use]
    pub fn fork(&self, other: &Self) -> Sequence {
        let shared = |era: &&Era| other.end_of(era).is_some();
        let Some(last) = self.eras.iter().rev().find(shared) else {
            return Sequence(0);
        };
        let ends = [self.end_of(last), other.end_of(last)];
        ends.into_iter().flatten().min().unwrap_or(Sequence(0))
    }

    /// The last sequence of a reign; `None` when it is none of these.
    fn end_of(&self, era: &Era) -> Option<Sequence> {
        let place = self
            .eras
            .iter()
            .position(|known| known.epoch == era.epoch && known.reign == era.reign)?;
        let next = self.eras.get(place + 1);
        Some(next.map_or(Sequence(u64::MAX), |next| next.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn era(epoch: u64, name: u8, after: u64) -> Era {
        Era {
            epoch: Epoch(epoch),
            reign: Reign([name; 16]),
            after: Sequence(after),
        }
    }

    fn lineage(eras: &[Era]) -> Lineage {
        Lineage::new([7; 16], eras.to_vec()).unwrap()
    }

    #[test]
    fn reigns_are_in_order() {
        for eras in [
            vec![],
            vec![era(2, 1, 0), era(2, 2, 5)],
            vec![era(1, 1, 5), era(2, 2, 4)],
            (0..=LINEAGE_ERAS as u64).map(|n| era(n, 1, n)).collect(),
        ] {
            assert_eq!(Lineage::new([7; 16], eras), Err(LineageError::Invalid));
        }
    }

    #[test]
    fn a_sequence_belongs_to_one_epoch() {
        let lineage = lineage(&[era(1, 1, 0), era(3, 2, 5), era(4, 3, 5), era(9, 4, 8)]);
        let epochs = [0, 1, 5, 6, 8, 9, 100].map(|n| lineage.epoch_of(Sequence(n)));
        let expected = [None, Some(1), Some(1), Some(4), Some(4), Some(9), Some(9)];
        assert_eq!(epochs, expected.map(|epoch| epoch.map(Epoch)));
    }

    #[test]
    fn a_promotion_drops_reigns_that_began_beyond_the_last_change() {
        let known = lineage(&[era(1, 1, 0), era(2, 2, 5)]);
        let promoted = known.promoted(Epoch(3), Reign([3; 16]), Sequence(4));
        assert_eq!(promoted.unwrap().eras(), [era(1, 1, 0), era(3, 3, 4)]);
        let again = known.promoted(Epoch(2), Reign([3; 16]), Sequence(9));
        let passed = LineageError::Passed {
            asked: Epoch(2),
            newest: Epoch(2),
        };
        assert_eq!(again, Err(passed));
    }

    #[test]
    fn lineages_fork_where_their_last_common_reign_ends_first() {
        let old = lineage(&[era(1, 1, 0)]);
        let new = lineage(&[era(1, 1, 0), era(2, 2, 8)]);
        let rival = lineage(&[era(1, 1, 0), era(2, 3, 6)]);
        let stranger = lineage(&[era(1, 9, 0)]);
        assert_eq!(old.fork(&new), Sequence(8));
        assert_eq!(new.fork(&old), Sequence(8));
        assert_eq!(new.fork(&rival), Sequence(6));
        assert_eq!(new.fork(&new), Sequence(u64::MAX));
        assert_eq!(new.fork(&stranger), Sequence(0));
    }
}
