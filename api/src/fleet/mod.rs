//! The seam between HTTP and replication: which node takes changes, which changes this node has
//! applied, and how many replicas a change waits for. The binary implements it.

mod forwarded;
mod request;
mod status;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use talos_model::Position;

use crate::error::ApiError;

pub use forwarded::{
    FORWARDED_CLIENT_HEADER, FRESH, ForwardedClient, ForwardingKeys, SealedRequest, body_digest,
    is_of_connection,
};
pub use request::{Acknowledgement, parse_limit, parse_wait, refuse_wait};
pub use status::{
    DivergedChanges, FleetStatus, PrimaryLink, RefusalCount, Rejoined, ReplicaState, Role,
    StateSummary, render,
};

pub(crate) use request::LIMIT;

/// The header in which every answer names a position. A request that demands this position of any
/// node gets an answer that is not older than this one.
pub const POSITION_HEADER: &str = "Talos-Position";
/// The header in which a request demands that its answer take account of every change up to a
/// position.
pub const MIN_POSITION_HEADER: &str = "Talos-Min-Position";
/// The header that names the node which answered, when another node had been asked.
pub const FORWARDED_TO_HEADER: &str = "Talos-Forwarded-To";

/// The header that marks a request which another node has forwarded. Such a request is not
/// forwarded again, and the connection that it came over proves nothing about its client.
pub const FORWARDED_HEADER: &str = "talos-forwarded";

/// How long a request waits for the position that it demands.
pub const REACH_WAIT: Duration = Duration::from_secs(1);

/// A result that comes later. It is awaited on a tokio runtime with timers.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether a node has applied all changes up to a position.
pub enum Reach {
    /// It has.
    Now,
    /// It will have when this is done. On an error, the client gets that error.
    Later(Later<Result<(), ApiError>>),
}

/// Which node takes changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writes {
    /// This node.
    Here,
    /// The server with this URL, which has no path.
    At(Arc<str>),
}

/// A change is durable on this node, but too few replicas have acknowledged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotEverywhere {
    /// The message for the client.
    pub message: String,
    /// The replicas that are connected and have not acknowledged the change.
    pub missing: Vec<String>,
}

/// Why a node did not do what an operator asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FleetRefusal {
    /// A node in this state cannot do it.
    #[error("{0}")]
    Precondition(String),
    /// The node tried and failed.
    #[error("{0}")]
    Failed(String),
}

impl From<FleetRefusal> for ApiError {
    fn from(refusal: FleetRefusal) -> Self {
        match refusal {
            FleetRefusal::Precondition(text) => Self::failed_precondition(text),
            FleetRefusal::Failed(text) => Self::service_unavailable(text),
        }
    }
}

/// A node: a standalone server, a primary or a replica.
pub trait Fleet: Send + Sync + 'static {
    /// Whether clients may send traffic to this node. Every readiness check calls it. Never blocks.
    ///
    /// # Errors
    /// 503, with the reason.
    fn ready(&self) -> Result<(), ApiError>;

    /// Whether the node has applied all changes up to `position`. Never blocks, and takes no lock
    /// when the answer is [`Reach::Now`].
    fn reach(&self, position: Position) -> Reach;

    /// Which node takes changes.
    ///
    /// # Errors
    /// 503 when no node does, with the reason.
    fn writes(&self) -> Result<Writes, ApiError>;

    /// Whether enough replicas are there to acknowledge a change. Asked before a change is made. A
    /// node without replicas needs none.
    ///
    /// # Errors
    /// 503, which says that nothing was changed.
    fn expects_acks(&self) -> Later<Result<(), ApiError>> {
        Box::pin(async { Ok(()) })
    }

    /// Waits until enough replicas have acknowledged the changes up to `position`, which are
    /// durable on this node. Every change is answered only after this.
    fn acknowledge(
        &self,
        position: Position,
        whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>>;

    /// The state of the node.
    fn status(&self) -> FleetStatus;

    /// Makes a replica the primary of a new epoch.
    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>>;

    /// The changes that this node holds and its primary does not; at most `limit`, the oldest
    /// first.
    fn diverged(&self, limit: usize) -> Later<Result<DivergedChanges, FleetRefusal>>;

    /// Discards the changes that only this node holds, and follows the primary again. The node
    /// keeps a copy of what it held before.
    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>>;
}

/// 503: the request demands a position that this node does not reach.
#[must_use]
pub fn beyond(position: Position) -> ApiError {
    ApiError::service_unavailable(format!(
        "{MIN_POSITION_HEADER}: this node has not reached {position}; ask another one, or try again"
    ))
}
