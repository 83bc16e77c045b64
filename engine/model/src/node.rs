//! What a node is in a fleet, and what of that is durable.

use crate::copy::CopyPlace;
use crate::lineage::Lineage;

/// Who decides what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This node: it takes commands. A node that stands alone is one, too.
    Primary,
    /// Another node: this one takes its changes, and no commands.
    Replica,
}

/// What is durable with a node, besides its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStanding {
    /// The reigns that it knows.
    pub lineage: Lineage,
    /// Whether the newest of them is its own.
    pub reigns: Reigns,
    /// How far a copy has come that is not complete yet.
    pub copying: Option<CopyPlace>,
}

/// Whose the newest reign is that a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reigns {
    /// The node's own.
    Itself,
    /// That of another node. Until it is promoted, this one must not give sequences to changes.
    Other,
}
