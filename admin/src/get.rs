//! `GET /v2alpha1/admin/issuedApiKeys/{key_id}` and `GET /v2alpha1/admin/importedApiKeys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::key;
use talos_model::{KeyId, clock};

use crate::context::Context;
use crate::engine_call;

/// Shows a key without its secret.
pub(crate) async fn get(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let record = engine_call::get(&context.engine, request.tenant, key_id).await?;
    let last_used = engine_call::last_used(&context.engine, &record).await?;
    Ok(ControlResponse::json(
        200,
        key::render(&record, last_used, clock::now()),
    ))
}
