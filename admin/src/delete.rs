//! `DELETE /v2alpha1/admin/importedApiKeys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::revoke;
use talos_engine::{Command, DeleteKey, KeyId, Outcome};

use crate::context::{Context, TENANT};
use crate::engine_call;

/// Forgets an imported key. Once this has answered, no core knows the key any more.
pub(crate) async fn delete(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = Command::Delete(DeleteKey {
        tenant: TENANT,
        key_id,
    });
    let Outcome::Deleted { record } = engine_call::submit(&context.engine, command).await? else {
        tracing::error!("the engine answered a deletion with another outcome");
        return Err(ApiError::internal());
    };
    context.metrics.key_deleted();
    tracing::info!(
        event = "ImportedAPIKeyDeleted",
        key_id = %record.key_id,
        tenant = %record.tenant,
        actor_id = record.actor_id,
        request_id = request.request_id,
        "an imported API key was deleted"
    );
    Ok(ControlResponse::json(200, revoke::RESPONSE.to_vec()))
}
