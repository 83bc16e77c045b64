//! The current role of a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use talos_replication::driver::primary::{PrimaryHandle, PrimaryStatus};
use talos_replication::driver::replica::{ReplicaHandle, ReplicaStatus, StoppedReplica};
use talos_replication::sink::SinkError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::primary_role::Replaced;
use crate::store::EngineSink;

/// The current role of a node.
pub(super) enum Role {
    Primary {
        handle: PrimaryHandle,
        status: watch::Receiver<PrimaryStatus>,
        replaced: Arc<Replaced>,
        task: JoinHandle<()>,
        address: SocketAddr,
        begun: Instant,
    },
    Replica {
        handle: ReplicaHandle,
        status: watch::Receiver<ReplicaStatus>,
        task: JoinHandle<Result<StoppedReplica<EngineSink>, SinkError>>,
        primary: String,
    },
    /// Between two roles, or stopped.
    None,
}
