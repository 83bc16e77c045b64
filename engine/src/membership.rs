//! Cluster membership of this node: its mode, and what is durable of it.

use talos_model::{Mode, NodeState};

/// Cluster membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    pub mode: Mode,
    pub standing: NodeState,
}
