//! `/v2alpha1/admin/replication…`, and requests that change keys in a cluster.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::{self, Acknowledgement, NotEverywhere, StateSummary, Writes};
use tokio::task::spawn_blocking;

use crate::context::Context;

/// Shows the replication status of the node.
pub(crate) fn status(context: &Context) -> ControlResponse {
    fleet::render(&context.fleet.status())
}

/// Shows a digest of all data of the node.
pub(crate) async fn state(context: &Context) -> Result<ControlResponse, ApiError> {
    let engine = Arc::clone(&context.engine);
    let state = spawn_blocking(move || engine.state_hash()).await;
    let state = state.map_err(|error| {
        tracing::error!(%error, "the digest of the data could not be computed");
        ApiError::internal()
    })??;
    Ok(fleet::render(&StateSummary::from(state)))
}

/// Makes the node the primary.
pub(crate) async fn promote(context: &Context) -> Result<ControlResponse, ApiError> {
    let status = context.fleet.promote().await?;
    Ok(fleet::render(&status))
}

/// Shows the changes that only this node has.
pub(crate) async fn diverged(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let limit = fleet::parse_limit(&request.query)?;
    let divergence = context.fleet.diverged(limit).await?;
    Ok(fleet::render(&divergence))
}

/// Resets the node to the data of its primary.
pub(crate) async fn rejoin(context: &Context) -> Result<ControlResponse, ApiError> {
    let rejoined = context.fleet.rejoin().await?;
    Ok(fleet::render(&rejoined))
}

/// Answers a request that may change keys: with `answer` on a primary, otherwise by forwarding it
/// to the primary. Waits until as many replicas as required have the change.
pub(crate) async fn change(
    context: &Context,
    request: &ControlRequest,
    answer: impl Future<Output = Result<ControlResponse, ApiError>>,
) -> Result<ControlResponse, ApiError> {
    let required = fleet::parse_wait(&request.query)?;
    if let Writes::At(url) = context.fleet.writes()? {
        return context.forwarder.forward(&url, request).await;
    }
    let answer = answer.await;
    // This also applies to errors. "Already revoked", for example, depends on a revocation that
    // replicas may not have yet.
    let head = context.engine.committed();
    context
        .fleet
        .acknowledge(head, required)
        .await
        .map_err(|error| not_everywhere(error, required))?;
    answer
}

fn not_everywhere(error: NotEverywhere, required: Acknowledgement) -> ApiError {
    let NotEverywhere { message, missing } = error;
    tracing::warn!(message, ?missing, whom = ?required, "a change was not acknowledged");
    let missing = match missing.as_slice() {
        [] => String::new(),
        missing => format!("; not confirmed by {}", missing.join(", ")),
    };
    ApiError::service_unavailable(format!(
        "the change is durable on the primary and is not undone, but {message}{missing}; try again"
    ))
}
