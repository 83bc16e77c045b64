//! Names and places that nodes speak of, as types that cannot be swapped for one another.

use std::fmt;

/// The number of a change. Sequences start at 1, have no gap, and order all changes of an epoch and across epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence so many places after this one.
    #[must_use]
    pub fn plus(self, count: usize) -> Self {
        Self(self.0.saturating_add(count as u64))
    }

    /// The sequence after this one.
    #[must_use]
    pub fn next(self) -> Self {
        self.plus(1)
    }
}

/// The number of a primary's reign. A new primary begins a new epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch in which a database is created.
    pub const FIRST: Self = Self(1);
}

/// A place in the change log: that of the change with this sequence, written in this epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The epoch of the change.
    pub epoch: Epoch,
    /// The number of the change.
    pub sequence: Sequence,
}

impl Position {
    /// Before the first change.
    pub const START: Self = Self {
        epoch: Epoch::FIRST,
        sequence: Sequence(0),
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch.0, self.sequence.0)
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

id! {
    /// What all nodes that share one history have in common. Drawn when the first database is created, copied to the replicas.
    ClusterId
}
id! {
    /// One node, for as long as its database lives.
    NodeId
}
id! {
    /// One promotion. Drawn at random, so that two nodes that were promoted to the same epoch can be told apart.
    Reign
}
id! {
    /// One full copy, consistent at one position. It can be resumed for as long as the primary keeps it.
    CopyId
}
