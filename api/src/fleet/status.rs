//! The answers of the replication routes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use talos_model::StateHash;

use crate::control::ControlResponse;
use crate::render;
use crate::schema::FreeObject;

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A server without replication.
    None,
    /// The node that takes changes.
    Primary,
    /// A node that follows a primary.
    Replica,
}

/// The state of a node: `GET /v2alpha1/admin/replication`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FleetStatus {
    /// Its role.
    pub role: Role,
    /// Its name among the nodes: 32 hexadecimal digits; empty without replication.
    pub node_id: String,
    /// The newest epoch that it knows.
    pub epoch: u64,
    /// The last change that it has applied, as `EPOCH.SEQUENCE`.
    pub position: String,
    /// Whether clients may send traffic to it.
    pub ready: bool,
    /// Why clients may not send traffic to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The connected replicas, as a primary sees them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<Vec<ReplicaState>>,
    /// How often a primary has refused nodes, by reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Vec<RefusalCount>>,
    /// The primary, as a replica sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<PrimaryLink>,
}

/// A replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaState {
    /// Its name.
    pub node_id: String,
    /// The address that it connects from.
    pub address: String,
    /// `asking`, `copying` or `following`.
    pub state: String,
    /// The last change that it has acknowledged as durable.
    pub position: Option<String>,
    /// How many changes it has not acknowledged.
    pub lag_changes: u64,
    /// How long the oldest of them has been durable on the primary, in milliseconds.
    pub lag_ms: u64,
    /// How the credentials that it accepts differ from those that the primary accepts: one text for
    /// each setting that differs. Absent if they are alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// How often a primary has refused nodes for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalCount {
    /// The reason.
    pub reason: String,
    /// How often since the server started.
    pub count: u64,
}

/// The primary, as a replica sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PrimaryLink {
    /// The address on which it listens for replicas.
    pub address: String,
    /// Its name, while it is connected.
    pub node_id: Option<String>,
    /// `apart`, `asking`, `copying`, `following` or `stopped`.
    pub state: String,
    /// How many changes this node lacks, as last reported by the primary.
    pub lag_changes: u64,
    /// How long ago this node was up to date, in milliseconds; absent if it never was.
    pub lag_ms: Option<u64>,
    /// How far its clock is ahead of the one of this node, in milliseconds; negative = behind. The
    /// time that a message takes counts as an offset. Absent without a connection.
    pub clock_offset_ms: Option<i64>,
    /// Why the last connection ended or failed.
    pub last_error: Option<String>,
    /// Whether this node holds changes that the primary lacks. It then waits for a rejoin.
    pub diverged: bool,
    /// How the credentials that this node accepts differ from those that the primary accepts: one
    /// text for each setting that differs. Absent if they are alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
}

/// The changes that this node holds and its primary does not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Divergence")]
pub struct DivergedChanges {
    /// The last change that both nodes hold.
    pub fork: String,
    /// The changes after it, the oldest first.
    #[schemars(with = "Vec<FreeObject>")]
    pub changes: Vec<serde_json::Value>,
    /// How many such changes there are in all.
    pub total: u64,
}

/// A summary of all data of a node at one position. Nodes with equal data have equal summaries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StateSummary {
    /// The last change that it includes.
    pub position: String,
    /// How many keys there are.
    pub records: u64,
    /// A hash of all keys, idempotency ids and admin tokens: 64 hexadecimal digits.
    pub hash: String,
}

impl From<StateHash> for StateSummary {
    fn from(state: StateHash) -> Self {
        let others = state.requests_hash.wrapping_add(state.admin_tokens_hash);
        Self {
            position: state.position.to_string(),
            records: state.records,
            hash: format!("{:032x}{others:032x}", state.records_hash),
        }
    }
}

/// The outcome of a rejoin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rejoined {
    /// The directory with the copy of the data before the rejoin.
    pub kept: String,
}

/// The answer 200 with `value` as its body.
#[must_use]
pub fn render(value: &impl Serialize) -> ControlResponse {
    ControlResponse::json(200, render::json(value))
}
