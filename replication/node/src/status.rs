//! The status of a node.

use std::fmt;
use std::time::Duration;

use talos_model::{Difference, Epoch};
use talos_replication::driver::primary::PrimaryStatus;
use talos_replication::driver::replica::{ReplicaStatus, Stage};
use talos_replication::follow::Stop;

/// The status of a node.
#[derive(Clone, Debug)]
pub enum NodeStatus {
    /// The node is the primary.
    Primary {
        /// The status of the driver.
        status: PrimaryStatus,
        /// The number of refusals by reason.
        refusals: Vec<(&'static str, u64)>,
        /// The later epoch of another primary, if there is one.
        replaced_by: Option<Epoch>,
    },
    /// The node is a replica.
    Replica {
        /// The status of the driver.
        status: ReplicaStatus,
        /// The address of the primary.
        primary: String,
    },
    /// The node is changing its role, or stopping.
    Changing,
}

/// Whether a node accepts changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteRole {
    /// It accepts changes.
    Accepts,
    /// It forwards changes to its primary.
    Forwards,
    /// It accepts none: another node is the primary since this epoch.
    Replaced(Epoch),
    /// It accepts none while it is changing its role, or stopping.
    Changing,
}

/// The replicas that must hold a write before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredReplicas {
    /// As many as are configured.
    Configured,
    /// As many as are configured, and every replica that considers itself up to date.
    AllFresh,
}

/// Why traffic may not be sent to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// Another node is the primary since this epoch.
    Replaced(Epoch),
    /// Its copy is not complete.
    Copying,
    /// It holds changes that its primary does not hold.
    Diverged,
    /// Its storage has failed.
    Storage,
    /// It has not been up to date for too long.
    Stale {
        /// For how many milliseconds; `None` if it never was up to date.
        since_ms: Option<u64>,
        /// The limit.
        bound: Duration,
    },
    /// It refuses credentials that its primary accepts.
    Refusing(Vec<Difference>),
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
            Self::Refusing(differences) => {
                f.write_str("this replica refuses credentials that its primary accepts")?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "; {difference}"))
            }
            Self::Changing => f.write_str("this node is changing its role"),
        }
    }
}

impl NodeStatus {
    /// Why traffic may not be sent to a node of this status. `bound` is the staleness limit.
    pub(super) fn unready(&self, bound: Duration) -> Option<Unready> {
        match self {
            Self::Primary { replaced_by, .. } => replaced_by.map(Unready::Replaced),
            Self::Replica { status, .. } => match (&status.stop, status.stage) {
                (Some(Stop::Diverged { .. }), _) => Some(Unready::Diverged),
                (Some(Stop::Storage(_)), _) => Some(Unready::Storage),
                _ if status.position.is_none() => Some(Unready::Copying),
                (None, Stage::Copying) => Some(Unready::Copying),
                _ if status.refusing().next().is_some() => {
                    Some(Unready::Refusing(status.refusing().cloned().collect()))
                }
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
