//! The settings of a node, and its errors.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use talos_model::cidr::Cidr;
use talos_model::{LoggedChange, Position};
use talos_replication::driver::tls::{PrimaryTls, ReplicaTls};
use talos_replication::secret::Secrets;

/// The role in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfiguredRole {
    /// The node accepts writes.
    Primary,
    /// The node follows a primary.
    Replica {
        /// The address of the primary, as `HOST:PORT`.
        primary: String,
    },
}

impl fmt::Display for ConfiguredRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Primary => f.write_str("primary"),
            Self::Replica { primary } => write!(f, "replica of {primary}"),
        }
    }
}

/// The settings of a node.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The configured role.
    pub configured_role: ConfiguredRole,
    /// The directory of its database.
    pub directory: PathBuf,
    /// Where it listens for replicas as a primary. With port 0 the system picks one.
    pub listen: SocketAddr,
    /// The addresses from which replicas may connect; empty = any.
    pub allowed: Vec<Cidr>,
    /// The secrets that it shares with the other nodes.
    pub secrets: Secrets,
    /// How long a replica considers itself up to date after a heartbeat.
    pub max_staleness: Duration,
    /// The number of replicas that every write waits for.
    pub min_acks: usize,
    /// How long a write waits at most.
    pub ack_timeout: Duration,
    /// The most full copies that are sent at a time.
    pub copies: usize,
    /// Bytes per second of all copies together.
    pub copy_bytes_per_s: u64,
    /// TLS for connections that it accepts.
    pub primary_tls: Option<PrimaryTls>,
    /// TLS for connections that it makes.
    pub replica_tls: Option<ReplicaTls>,
}

/// Fewer replicas are connected than a write waits for; it is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{connected} of the {needed} replicas that a change waits for are connected")]
pub struct TooFewReplicas {
    /// The replicas that are connected.
    pub connected: usize,
    /// The replicas that every write waits for.
    pub needed: usize,
}

/// The node cannot start; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node file.
    #[error("the node's file: {0}")]
    File(io::Error),
    /// The listener for replicas.
    #[error("replication.listen: {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// Storage.
    #[error("{0}")]
    Storage(String),
    /// The threads cannot be started.
    #[error("threads for replication: {0}")]
    Threads(io::Error),
}

/// An operator's request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum NodeRefusal {
    /// The request does not fit the state of the node.
    #[error("{0}")]
    Precondition(&'static str),
    /// The request has failed. The node is in the role it had before.
    #[error("{0}")]
    Failed(String),
}

impl From<NodeError> for NodeRefusal {
    fn from(error: NodeError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The changes of a diverged node that its primary does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DivergedChanges {
    /// The last change that both nodes hold.
    pub fork: Position,
    /// The changes after it, oldest first.
    pub changes: Vec<LoggedChange>,
    /// The total number of them.
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use talos_replication::limits::{REPLICAS, SECRETS_RETIRED};

    /// The configuration does not depend on replication and repeats two of its limits.
    #[test]
    fn the_settings_allow_what_replication_can_do() {
        assert_eq!(talos_config::REPLICATION_MIN_ACKS_MAX, REPLICAS as u64);
        assert_eq!(
            talos_config::REPLICATION_SECRETS_RETIRED_MAX,
            SECRETS_RETIRED
        );
    }
}
