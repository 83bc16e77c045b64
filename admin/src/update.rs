//! `PATCH /v2alpha1/admin/issuedApiKeys/{key_id}` and `PATCH /v2alpha1/admin/importedApiKeys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{key, update};
use talos_engine::{Command, KeyId, Outcome, UpdateKey, clock};

use crate::context::{Context, TENANT};
use crate::engine_call;

/// Changes a key and shows it as it now is. Once this has answered, no core judges by what the key was before.
pub(crate) async fn update(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = Command::Update(UpdateKey {
        tenant: TENANT,
        key_id,
        changes: update::parse_request(&request.body, &request.query)?,
    });
    let Outcome::Updated { record } = engine_call::submit(&context.engine, command).await? else {
        tracing::error!("the engine answered an update with another outcome");
        return Err(ApiError::internal());
    };
    tracing::info!(
        event = event(record.key_id),
        key_id = %record.key_id,
        tenant = %record.tenant,
        actor_id = record.actor_id,
        request_id = request.request_id,
        "an API key was updated"
    );
    // The key is changed. That it was used is worth telling, but not an error that says otherwise.
    let last_used = engine_call::last_used(&context.engine, &record).await;
    let last_used = last_used.unwrap_or_default();
    Ok(ControlResponse::json(
        200,
        key::render(&record, last_used, clock::now()),
    ))
}

const fn event(key_id: KeyId) -> &'static str {
    match key_id {
        KeyId::Issued(_) => "IssuedAPIKeyUpdated",
        KeyId::Imported(_) => "ImportedAPIKeyUpdated",
    }
}
