//! What the parts of a node share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use talos_engine::{Engine, Watch};
use talos_model::{Acceptance, Position};
use talos_replication::handshake::Identity;
use talos_replication::ids::{ClusterId, NodeId};
use tokio::sync::watch;

use crate::file::NodeFile;
use crate::readiness_lease::ReadinessLease;
use crate::role::Role;
use crate::settings::NodeSettings;
use crate::status::NodeStatus;

/// One cluster for all nodes: those that share a secret may follow one another. Their epoch
/// histories decide whether they can.
const CLUSTER: ClusterId = ClusterId([0; 16]);

/// The state of a running node.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: NodeSettings,
    pub(crate) node: NodeId,
    pub(crate) file: Mutex<NodeFile>,
    pub(crate) committed: watch::Receiver<Position>,
    /// Serialises changes of the role.
    pub(crate) changing: tokio::sync::Mutex<()>,
    pub(crate) role: Mutex<Role>,
    pub(crate) readiness: ReadinessLease,
    /// Which credentials the node accepts.
    pub(crate) acceptance: watch::Sender<Acceptance>,
    pub(crate) _watch: Watch,
}

impl Shared {
    pub(super) fn role(&self) -> MutexGuard<'_, Role> {
        self.role.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn file(&self) -> MutexGuard<'_, NodeFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            cluster: CLUSTER,
            node: self.node,
            secrets: self.settings.secrets.clone(),
        }
    }

    pub(super) fn max_staleness_ms(&self) -> u64 {
        u64::try_from(self.settings.max_staleness.as_millis()).unwrap_or(u64::MAX)
    }

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
