//! Identifiers and positions, each a type of its own.

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
    /// A cluster: all nodes that replicate one database. Drawn when the first database is created,
    /// and copied to the replicas.
    ClusterId
}
id! {
    /// A node, for the lifetime of its database.
    NodeId
}
id! {
    /// One promotion. Drawn at random, so that two nodes promoted to the same epoch number are
    /// distinguished.
    EpochId
}
id! {
    /// A full copy, consistent with one position. It can be resumed while the primary keeps it.
    CopyId
}
