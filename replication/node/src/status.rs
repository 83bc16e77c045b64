//! Where a node stands, for whoever asks.

use std::fmt;
use std::time::Duration;

use super::Shared;
use super::role::Role;
use talos_replication::driver::primary::PrimaryStatus;
use talos_replication::driver::replica::{ReplicaStatus, Stage};
use talos_replication::follow::Stop;
use talos_replication::position::Epoch;

/// Where a node stands.
#[derive(Clone, Debug)]
pub enum NodeStatus {
    /// It takes the writes.
    Primary {
        /// What its driver says.
        status: PrimaryStatus,
        /// How often nodes were refused, by reason.
        refusals: Vec<(&'static str, u64)>,
        /// The later epoch of another primary.
        replaced_by: Option<Epoch>,
    },
    /// It follows a primary.
    Replica {
        /// What its driver says.
        status: ReplicaStatus,
        /// Where the primary listens.
        primary: String,
    },
    /// It is on its way from one to the other, or stops.
    Changing,
}

/// Whether a node takes changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRole {
    /// It does.
    Accepts,
    /// Its primary does.
    Forwards,
    /// Not any more: another node does since this epoch.
    Replaced(Epoch),
    /// It is on its way from one role to the other, or stops.
    Changing,
}

/// Why traffic may not be sent to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Another node is the primary since this epoch.
    Replaced(Epoch),
    /// It holds only a part of a copy.
    Copying,
    /// It holds changes that its primary does not.
    Diverged,
    /// Its storage has failed.
    Storage,
    /// So many milliseconds ago it was up to date, if it ever was, and this is too long.
    Stale {
        /// How long ago.
        since_ms: Option<u64>,
        /// How long it may be.
        bound: Duration,
    },
    /// It is changing its role.
    Changing,
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced(epoch) => {
                write!(f, "another node is the primary since epoch {}", epoch.0)
            }
            Self::Copying => f.write_str("this replica is being copied from its primary"),
            Self::Diverged => f.write_str(
                "this replica holds changes that its primary does not; see `talos fleet diverged`",
            ),
            Self::Storage => f.write_str("this replica cannot write to its disk"),
            Self::Stale {
                since_ms: Some(since_ms),
                bound,
            } => write!(
                f,
                "this replica was up to date {since_ms} ms ago, and may be {} ms behind",
                bound.as_millis()
            ),
            Self::Stale { since_ms: None, .. } => {
                f.write_str("this replica has not been up to date with its primary yet")
            }
            Self::Changing => f.write_str("this node is changing its role"),
        }
    }
}

impl NodeStatus {
    /// Why traffic may not be sent to a node of this status.
    pub(super) fn unready(&self, bound: Duration) -> Option<Unready> {
        match self {
            Self::Primary { replaced_by, .. } => replaced_by.map(Unready::Replaced),
            Self::Replica { status, .. } => match (&status.stop, status.stage) {
                (Some(Stop::Diverged { .. }), _) => Some(Unready::Diverged),
                (Some(Stop::Storage(_)), _) => Some(Unready::Storage),
                _ if status.position.is_none() => Some(Unready::Copying),
                (None, Stage::Copying) => Some(Unready::Copying),
                _ if status.is_fresh() => None,
                _ => Some(Unready::Stale {
                    since_ms: status.staleness_ms(),
                    bound,
                }),
            },
            Self::Changing => Some(Unready::Changing),
        }
    }
}

impl Shared {
    pub(super) fn status(&self) -> NodeStatus {
        match &*self.role() {
            Role::Primary {
                handle,
                status,
                replaced,
                ..
            } => NodeStatus::Primary {
                status: status.borrow().clone(),
                refusals: handle.refusals(),
                replaced_by: replaced.by(),
            },
            Role::Replica {
                status, primary, ..
            } => NodeStatus::Replica {
                status: status.borrow().clone(),
                primary: primary.clone(),
            },
            Role::None => NodeStatus::Changing,
        }
    }
}
