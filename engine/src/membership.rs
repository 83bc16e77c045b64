//! Cluster membership of this node.

use talos_model::{Mode, NodeState};

/// The node's mode, and its durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub mode: Mode,
    pub standing: NodeState,
}
