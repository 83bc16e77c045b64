//! `POST …/{key_id}:revoke` below `/v2alpha1/admin/issuedApiKeys`, `…/importedApiKeys` and
//! `…/apiKeys`, and `DELETE /keys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::revoke;
use talos_model::{KeyId, RevokeKey};

use crate::context::Context;
use crate::engine_call;

/// Revokes a key. When this answers, no core accepts the key any more.
pub(crate) async fn revoke(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let revoke::RevokeRequest {
        reason,
        description,
    } = revoke::parse_request(&request.body)?;
    let command = RevokeKey {
        tenant: request.tenant,
        key_id,
        reason,
        description,
    };
    submit(context, command, request).await?;
    Ok(ControlResponse::no_content())
}

/// Revokes a key, counts it and logs it.
pub(crate) async fn submit(
    context: &Context,
    command: RevokeKey,
    request: &ControlRequest,
) -> Result<(), ApiError> {
    let reason = command.reason;
    let record = engine_call::submit(&context.engine, command, request).await?;
    context.metrics.key_revoked(reason);
    tracing::info!(
        event = event(record.key_id),
        key_id = %record.key_id,
        tenant = %record.tenant,
        actor_id = record.actor_id,
        request_id = request.request_id,
        "an API key was revoked"
    );
    Ok(())
}

const fn event(key_id: KeyId) -> &'static str {
    match key_id {
        KeyId::Issued(_) => "IssuedAPIKeyRevoked",
        KeyId::Imported(_) => "ImportedAPIKeyRevoked",
    }
}
