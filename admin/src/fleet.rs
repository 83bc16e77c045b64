//! `/v2alpha1/admin/replication…`, and requests that change keys in a cluster.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::{ApiError, Reason};
use talos_api::fleet::{self, Acknowledgement, NotEverywhere, StateSummary, Writes};
use talos_api::route::Endpoint;
use talos_model::{Position, RecordKey};
use tokio::task::spawn_blocking;

use crate::client::Client;
use crate::context::Context;
use crate::engine_call;
use crate::reported_change::ReportedChange;

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
/// to the primary. Makes no change if fewer replicas are connected than it needs, unless it takes a
/// key away. Waits until as many replicas as required have the changes that the answer rests on, if
/// there are any.
pub(crate) async fn change(
    context: &Context,
    request: &ControlRequest,
    mut client: Client,
    reported: &ReportedChange,
    answer: impl Future<Output = Result<ControlResponse, ApiError>>,
) -> Result<ControlResponse, ApiError> {
    let required = if request.endpoint == Endpoint::SelfRevoke {
        fleet::refuse_wait(&request.query)?;
        Acknowledgement::Configured
    } else {
        fleet::parse_wait(&request.query)?
    };
    if let Writes::At(url) = context.fleet.writes()? {
        return tokio::select! {
            answer = context.forwarder.forward(&url, request) => answer,
            () = client.gone() => Err(client_gone()),
        };
    }
    if !is_withdrawal(request.endpoint) {
        tokio::select! {
            expected = context.fleet.expects_acks() => expected?,
            () = client.gone() => return Err(client_gone()),
        }
    }
    let answer = answer.await;
    let refused = answer.as_ref().err().map(ApiError::reason);
    let Some(position) = rests_on(context, request, reported, refused).await else {
        return answer;
    };
    tokio::select! {
        acknowledged = context.fleet.acknowledge(position, required) => {
            acknowledged.map_err(|error| not_everywhere(error, required, reported))?;
        }
        () = client.gone() => return Err(client_gone()),
    }
    answer
}

/// Whether a request takes a key or a token away. It is carried out even if too few replicas are
/// there to acknowledge it: a stolen key that this node refuses is better than one that no node
/// refuses.
fn is_withdrawal(endpoint: Endpoint) -> bool {
    matches!(
        endpoint,
        Endpoint::RevokeIssuedKey
            | Endpoint::RevokeImportedKey
            | Endpoint::RevokeKey
            | Endpoint::RevokeKeysWhere
            | Endpoint::SelfRevoke
            | Endpoint::DeleteImportedKey
            | Endpoint::RevokeAdminToken
    )
}

/// The newest change that an answer rests on; `None` if it reports no change. `refused` is the
/// reason of an answer that is an error.
async fn rests_on(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
    refused: Option<Reason>,
) -> Option<Position> {
    let head = context.engine.committed();
    let sequence = match refused {
        // "No such admin token" and "another has this name" may report any change of the tokens.
        None | Some(Reason::ApiKeyExists | Reason::Conflict | Reason::NotFound) => {
            reported.named().unwrap_or(head.sequence)
        }
        Some(Reason::ApiKeyNotFound) => {
            let key = RecordKey::new(request.tenant, request.key_id.any().ok()?);
            context.deletions.newest(head, &key)
        }
        // "Already revoked", for example, reports an earlier change of the key.
        Some(Reason::FailedPrecondition) => {
            let key_id = request.key_id.any().ok()?;
            let record = engine_call::get(&context.engine, request.tenant, key_id).await;
            record.map_or(head.sequence, |record| record.sequence)
        }
        Some(_) => return None,
    };
    (sequence.0 > 0).then_some(Position {
        epoch: head.epoch,
        sequence,
    })
}

/// The answer to a client that has gone. It only ends the request.
fn client_gone() -> ApiError {
    ApiError::service_unavailable("the client has gone while the change waited for other nodes")
}

fn not_everywhere(
    error: NotEverywhere,
    required: Acknowledgement,
    reported: &ReportedChange,
) -> ApiError {
    let NotEverywhere { message, missing } = error;
    tracing::warn!(message, ?missing, whom = ?required, "a change was not acknowledged");
    let missing = match missing.as_slice() {
        [] => String::new(),
        missing => format!("; not confirmed by {}", missing.join(", ")),
    };
    let message =
        format!("the change is durable on the primary and is not undone, but {message}{missing}");
    reported.not_sent(&message, "; try again")
}
