//! The seam between HTTP and a node's place among others: who takes writes, how far the node has come, whom a write waits for.
//!
//! A server that stands alone is a primary without replicas: [`Alone`].

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use talos_engine::{Engine, Position, StateHash};

use crate::control::ControlResponse;
use crate::error::ApiError;
use crate::json;
use crate::query::{self, Parameter};
use crate::shapes::FreeObject;

/// The header by which every answer names a position: who demands it anywhere is shown nothing older than this answer.
pub const POSITION_HEADER: &str = "Talos-Position";
/// The header by which a request demands that its answer take account of every change up to a position.
pub const MIN_POSITION_HEADER: &str = "Talos-Min-Position";
/// The header by which an answer says which node gave it, where that is not the one that was asked.
pub const FORWARDED_TO_HEADER: &str = "Talos-Forwarded-To";

/// What comes later. It is waited for on a runtime of tokio with timers.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether a node shows all changes up to a position.
pub enum Reach {
    /// It does.
    Now,
    /// It does once this is done, unless that ends with what the client is told instead.
    Later(Later<Result<(), ApiError>>),
}

/// Where changes are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Here.
    Here,
    /// At the server with this URL, which has no path.
    At(Arc<str>),
}

/// Whom a write waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgement {
    /// As many replicas as are configured.
    #[default]
    Configured,
    /// Those, and every replica that takes itself to be up to date.
    EveryReplica,
}

/// A write is durable here, but not known to be where it was to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotEverywhere {
    /// What the client is told.
    pub message: String,
    /// The replicas that are connected and have not said that they have it.
    pub missing: Vec<String>,
}

/// What an operator asks a node to do could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetRefusal {
    /// It does not make sense for a node in this state.
    #[error("{0}")]
    Precondition(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
}

/// A node among others.
pub trait Fleet: Send + Sync + 'static {
    /// Whether traffic may be sent here. Called for every question for readiness; waits for nothing.
    ///
    /// # Errors
    /// 503, with the reason.
    fn ready(&self) -> Result<(), ApiError>;

    /// Whether the node shows all changes up to `position`. Waits for nothing, and takes no lock when it does.
    fn reach(&self, position: Position) -> Reach;

    /// Where changes are taken.
    ///
    /// # Errors
    /// 503, with the reason why nowhere.
    fn writes(&self) -> Result<Writes, ApiError>;

    /// Waits until the writes up to `position`, which are durable here, are where they are to be. Every write passes here before
    /// it is acknowledged.
    fn acknowledge(
        &self,
        position: Position,
        whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>>;

    /// Where the node stands.
    fn status(&self) -> FleetStatus;

    /// Makes a replica the primary of a new epoch.
    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>>;

    /// The changes that only this node holds, of all that it shares with its primary; at most `limit`, the oldest first.
    fn diverged(&self, limit: usize) -> Later<Result<Divergence, FleetRefusal>>;

    /// Sets a node that holds changes of its own back to what its primary holds, and keeps a copy of what was there.
    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>>;
}

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
    ControlResponse::json(200, json::render(value))
}

/// Whom a change is to wait for.
pub(crate) const WAIT: Parameter = Parameter::text(
    "wait",
    "`replicas` = answer when every replica that takes itself to be up to date has applied the change.",
);
/// How many changes are to be shown.
pub(crate) const LIMIT: Parameter = Parameter::int32(
    "limit",
    "The most changes to show: 1 to 1000; 100 without it.",
);
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// Reads whom a change is to wait for from the query of its request.
///
/// # Errors
/// 400 for anything but `wait=replicas`.
pub fn parse_wait(query: &str) -> Result<Acknowledgement, ApiError> {
    match query::parameter(query, &WAIT)?.as_deref() {
        None => Ok(Acknowledgement::Configured),
        Some("replicas") => Ok(Acknowledgement::EveryReplica),
        Some(_) => Err(ApiError::invalid_field("wait", "must be replicas")),
    }
}

/// Reads how many changes are to be shown.
///
/// # Errors
/// 400 for anything but a number in range.
pub fn parse_limit(query: &str) -> Result<usize, ApiError> {
    let Some(text) = query::parameter(query, &LIMIT)? else {
        return Ok(LIMIT_DEFAULT);
    };
    let limit = text.parse().ok();
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| ApiError::invalid_field("limit", "must be 1 to 1000"))
}

impl From<FleetRefusal> for ApiError {
    fn from(refusal: FleetRefusal) -> Self {
        match refusal {
            FleetRefusal::Precondition(text) => Self::failed_precondition(text),
            FleetRefusal::Failed(text) => Self::service_unavailable(text),
        }
    }
}

/// A server that stands alone.
pub struct Alone(pub Arc<Engine>);

impl Fleet for Alone {
    fn ready(&self) -> Result<(), ApiError> {
        Ok(())
    }

    fn reach(&self, position: Position) -> Reach {
        if is_shown(&self.0, position) {
            return Reach::Now;
        }
        let engine = Arc::clone(&self.0);
        Reach::Later(Box::pin(written(engine, position)))
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        Ok(Writes::Here)
    }

    fn acknowledge(
        &self,
        _position: Position,
        _whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> FleetStatus {
        FleetStatus {
            role: Role::None,
            node_id: String::new(),
            epoch: self.0.head().epoch.0,
            position: self.0.head().to_string(),
            ready: true,
            reason: None,
            replicas: None,
            refusals: None,
            primary: None,
        }
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        alone()
    }

    fn diverged(&self, _limit: usize) -> Later<Result<Divergence, FleetRefusal>> {
        alone()
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        alone()
    }
}

fn is_shown(engine: &Engine, position: Position) -> bool {
    let head = engine.head();
    position.epoch == head.epoch && position.sequence <= head.sequence
}

/// Nobody else writes: a position that comes is being written already, or belongs to an epoch that has ended here.
async fn written(engine: Arc<Engine>, position: Position) -> Result<(), ApiError> {
    let epochs = engine.standing().epochs;
    if epochs.has(position) && position.sequence <= engine.head().sequence {
        return Ok(());
    }
    let ceiling = engine.ceiling();
    if position.epoch != ceiling.epoch || position.sequence > ceiling.sequence {
        return Err(beyond(position));
    }
    let waiting: Arc<Mutex<Option<Waker>>> = Arc::default();
    let woken = Arc::clone(&waiting);
    let watch = engine.watch(move |_| {
        let waker = lock(&woken).take();
        waker.into_iter().for_each(Waker::wake);
    });
    let Some(_watch) = watch else {
        return Err(ApiError::service_unavailable(
            "too many requests wait for a position; try again",
        ));
    };
    poll_fn(|context| {
        // Left there before the head is looked at, so that it is woken whenever the head moves after that look.
        *lock(&waiting) = Some(context.waker().clone());
        if is_shown(&engine, position) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn alone<T: Send + 'static>() -> Later<Result<T, FleetRefusal>> {
    let text = "this server stands alone: replication.role is none";
    Box::pin(async move { Err(FleetRefusal::Precondition(text.to_owned())) })
}

/// What a client is told who demands a position that does not come.
#[must_use]
pub fn beyond(position: Position) -> ApiError {
    ApiError::service_unavailable(format!(
        "{MIN_POSITION_HEADER}: this node has not reached {position}; ask another one, or try again"
    ))
}

/// How long a request waits at most for the position that it demands.
pub const REACH_WAIT: Duration = Duration::from_secs(1);
