//! What a node is in a fleet, and what of that is durable.

use crate::copy::CopyPlace;
use crate::epoch_history::EpochHistory;

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
pub struct NodeState {
    /// What all nodes of one fleet have in common. Drawn when the first database is created.
    pub cluster: [u8; 16],
    /// The epochs that it knows.
    pub epochs: EpochHistory,
    /// Whether the newest of them is its own.
    pub leadership: Leadership,
    /// How far a copy has come that is not complete yet.
    pub copying: Option<CopyPlace>,
}

/// Whose the newest epoch is that a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// The node's own.
    Own,
    /// That of another node. Until it is promoted, this one must not give sequences to changes.
    Other,
}
