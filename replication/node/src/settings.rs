//! What a node is told, and what it says when it cannot.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use talos_engine::LoggedChange;

use talos_replication::driver::tls::{PrimaryTls, ReplicaTls};
use talos_replication::position::Position;
use talos_replication::secret::Secrets;

/// What a node is configured to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfiguredRole {
    /// It takes the writes.
    Primary,
    /// It follows a primary.
    Replica {
        /// Where that listens, as `HOST:PORT`.
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

/// What a node is told.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// What it is to be.
    pub configured_role: ConfiguredRole,
    /// Where its database is.
    pub directory: PathBuf,
    /// Where it listens for replicas when it is a primary. Port 0 = the system picks one.
    pub listen: SocketAddr,
    /// What it shares with the other nodes.
    pub secrets: Secrets,
    /// For how long a replica takes itself to be up to date.
    pub max_staleness: Duration,
    /// How many replicas every write waits for.
    pub min_acks: usize,
    /// How long at most.
    pub ack_timeout: Duration,
    /// Full copies that are sent at a time.
    pub copies: usize,
    /// Bytes per second that all of them may take together.
    pub copy_bytes_per_s: u64,
    /// TLS for those that call.
    pub primary_tls: Option<PrimaryTls>,
    /// TLS for calling.
    pub replica_tls: Option<ReplicaTls>,
}

/// The node cannot start; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The file of the node.
    #[error("the node's file: {0}")]
    File(io::Error),
    /// The listener for replicas.
    #[error("replication.listen: {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Storage.
    #[error("{0}")]
    Storage(String),
    /// The system gives no threads.
    #[error("threads for replication: {0}")]
    Threads(io::Error),
}

/// What an operator asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum NodeRefusal {
    /// It makes no sense for the node as it is.
    #[error("{0}")]
    Precondition(&'static str),
    /// It failed, and the node is what it was before.
    #[error("{0}")]
    Failed(String),
}

impl From<NodeError> for NodeRefusal {
    fn from(error: NodeError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The changes that only one node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DivergedChanges {
    /// The last change that the primary holds as well.
    pub fork: Position,
    /// The changes after it, the oldest first.
    pub changes: Vec<LoggedChange>,
    /// How many there are in all.
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
