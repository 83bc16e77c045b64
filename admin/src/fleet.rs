//! `/v2alpha1/admin/replication…`, and what becomes of changes in a fleet.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::{self, Acknowledgement, NotEverywhere, StateSummary, Writes};
use tokio::task::spawn_blocking;

use crate::context::Context;

/// Where the node stands.
pub(crate) fn status(context: &Context) -> ControlResponse {
    fleet::render(&context.fleet.status())
}

/// A summary of everything that the node holds.
pub(crate) async fn state(context: &Context) -> Result<ControlResponse, ApiError> {
    let engine = Arc::clone(&context.engine);
    let state = spawn_blocking(move || engine.state_hash()).await;
    let state = state.map_err(|error| {
        tracing::error!(%error, "the state of the node could not be summed up");
        ApiError::internal()
    })??;
    Ok(fleet::render(&StateSummary::from(state)))
}

/// Makes the node the primary.
pub(crate) async fn promote(context: &Context) -> Result<ControlResponse, ApiError> {
    let status = context.fleet.promote().await?;
    Ok(fleet::render(&status))
}

/// What the node alone holds.
pub(crate) async fn diverged(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let limit = fleet::parse_limit(&request.query)?;
    let divergence = context.fleet.diverged(limit).await?;
    Ok(fleet::render(&divergence))
}

/// Sets the node back to what its primary holds.
pub(crate) async fn rejoin(context: &Context) -> Result<ControlResponse, ApiError> {
    let rejoined = context.fleet.rejoin().await?;
    Ok(fleet::render(&rejoined))
}

/// Answers a request that may change keys: here, where `answer` does, or at the primary. What it has changed is where it is to
/// be before the answer is given.
pub(crate) async fn change(
    context: &Context,
    request: &ControlRequest,
    answer: impl Future<Output = Result<ControlResponse, ApiError>>,
) -> Result<ControlResponse, ApiError> {
    let whom = fleet::parse_wait(&request.query)?;
    if let Writes::At(url) = context.fleet.writes()? {
        return context.forwarder.forward(&url, request).await;
    }
    let answer = answer.await;
    // An error may rest on a change as well: a key is revoked already by one that others do not have yet.
    let head = context.engine.head();
    context
        .fleet
        .acknowledge(head, whom)
        .await
        .map_err(|error| not_everywhere(error, whom))?;
    answer
}

fn not_everywhere(error: NotEverywhere, whom: Acknowledgement) -> ApiError {
    let NotEverywhere { message, missing } = error;
    tracing::warn!(message, ?missing, ?whom, "a change was not acknowledged");
    let missing = match missing.as_slice() {
        [] => String::new(),
        missing => format!("; not confirmed by {}", missing.join(", ")),
    };
    ApiError::service_unavailable(format!(
        "the change is durable on the primary and is not undone, but {message}{missing}; try again"
    ))
}
