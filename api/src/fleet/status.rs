//! What the replication routes answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use talos_engine::StateHash;

use crate::control::ControlResponse;
use crate::render;
use crate::schema::FreeObject;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It stands alone.
    None,
    /// It takes the writes.
    Primary,
    /// It follows a primary.
    Replica,
}

/// Where a node stands: `GET /v2alpha1/admin/replication`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// What the node is.
    pub role: Role,
    /// Its name among the nodes: 32 hexadecimal digits. Empty for a server that stands alone.
    pub node_id: String,
    /// The newest epoch that it knows.
    pub epoch: u64,
    /// The last change that it shows, as `EPOCH.SEQUENCE`.
    pub position: String,
    /// Whether traffic may be sent to it.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The replicas that are connected, as their primary sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<ReplicaState>>,
    /// How often nodes were refused, by the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Vec<RefusalCount>>,
    /// The primary, as the replica sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimaryLink>,
}

/// A replica as its primary sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaState {
    /// Its name.
    pub node_id: String,
    /// Where it calls from.
    pub address: String,
    /// `asking`, `copying` or `following`.
    pub state: String,
    /// The last change that it has said is durable there.
    pub position: Option<String>,
    /// How many changes it lacks.
    pub lag_changes: u64,
    /// For how many milliseconds the oldest of them has been durable at the primary.
    pub lag_ms: u64,
}

/// How often nodes were refused for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalCount {
    /// The reason.
    pub reason: String,
    /// How often since the start.
    pub count: u64,
}

/// The primary, as a replica sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryLink {
    /// Where it listens for replicas.
    pub address: String,
    /// Its name, while there is a connection.
    pub node_id: Option<String>,
    /// `apart`, `asking`, `copying`, `following` or `stopped`.
    pub state: String,
    /// How many changes this node lacks, as far as the primary has said.
    pub lag_changes: u64,
    /// How many milliseconds ago this node had all that the primary had; none before it had that once.
    pub lag_ms: Option<u64>,
    /// Why the last connection has ended, or could not be made.
    pub last_error: Option<String>,
    /// Whether this node holds changes that the primary does not, so that it follows nobody until it is set back.
    pub diverged: bool,
}

/// The changes that only one node holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Divergence {
    /// The last change that both hold.
    pub fork: String,
    /// The changes after it, the oldest first.
    #[schemars(with = "Vec<FreeObject>")]
    pub changes: Vec<serde_json::Value>,
    /// How many there are in all.
    pub total: u64,
}

/// A summary of everything that a node holds at one position: nodes that hold the same have the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateSummary {
    /// The last change that is contained.
    pub position: String,
    /// How many keys there are.
    pub records: u64,
    /// Of all keys and of all idempotency ids: 64 hexadecimal digits.
    pub hash: String,
}

impl From<StateHash> for StateSummary {
    fn from(state: StateHash) -> Self {
        Self {
            position: state.position.to_string(),
            records: state.records,
            hash: format!("{:032x}{:032x}", state.records_hash, state.requests_hash),
        }
    }
}

/// How a node was set back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejoined {
    /// Where the copy of what it held before is.
    pub kept: String,
}

/// The answer that shows `value`.
#[must_use]
pub fn render(value: &impl Serialize) -> ControlResponse {
    ControlResponse::json(200, render::json(value))
}
