//! The role of a node in its cluster, and its durable state.

use crate::copy::CopyPlace;
use crate::epoch_history::EpochHistory;

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The node executes commands. A standalone node is a primary, too.
    Primary,
    /// The node applies the changes of its primary and refuses commands.
    Replica,
}

/// The durable state of a node, besides its changes and records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeState {
    /// The id of the cluster, shared by all its nodes. The first node draws it when it creates its
    /// database.
    pub cluster: [u8; 16],
    /// The epochs that it knows.
    pub epochs: EpochHistory,
    /// Whether the node itself leads the newest of them.
    pub leadership: Leadership,
    /// The copy to this node that is not complete yet, if any.
    pub copying: Option<CopyPlace>,
}

/// Which node leads the newest epoch that a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// The node itself.
    Own,
    /// Another node. Until this node is promoted, it must not assign sequences to changes.
    Other,
}
