//! Names and places that nodes speak of, as types that cannot be swapped for one another.

use std::fmt;

pub use talos_engine::{Epoch, Position, Sequence};

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
    EpochId
}
id! {
    /// One full copy, consistent at one position. It can be resumed for as long as the primary keeps it.
    CopyId
}
