//! `PATCH /v2alpha1/admin/issuedApiKeys/{key_id}` and `PATCH
//! /v2alpha1/admin/importedApiKeys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{key, update};
use talos_model::{KeyId, UpdateKey, clock};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;

/// Updates a key and shows it. When this answers, every core uses the new values.
pub(crate) async fn update(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = UpdateKey {
        tenant: request.tenant,
        key_id,
        changes: update::parse_request(&request.body, &request.query)?,
    };
    let record = engine_call::submit(&context.engine, command, request).await?;
    key_event!(
        event(record.key_id),
        &record,
        request,
        "an API key was updated",
    );
    // The update is done, so the request must not fail when this read does.
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
