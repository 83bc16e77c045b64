//! `POST /v2alpha1/admin/issuedApiKeys/{key_id}:rotate`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{rotate, timestamp};
use talos_model::{KeyId, RecordKey, RotateKey, clock};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;
use crate::reported_change::ReportedChange;
use crate::unsent_secrets::UnsentSecret;

/// Replaces an active key by a new one and shows its secret, which is not stored. When this
/// answers, no core accepts the old key any more.
pub(crate) async fn rotate(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let rotate::RotateRequest {
        changes,
        visibility,
    } = rotate::parse_request(&request.body)?;
    let command = RotateKey {
        tenant: request.tenant,
        key_id,
        changes,
        visibility,
    };
    let rotation = engine_call::submit(&context.engine, command, request).await?;
    let record = &rotation.record;
    let key = RecordKey::new(record.tenant, record.key_id);
    reported.shows(UnsentSecret::unrepeatable(key, rotation.secret.clone()));
    context.metrics.key_rotated();
    key_event!(
        "IssuedAPIKeyRotated",
        &rotation.record,
        request,
        "an API key was rotated",
        old_key_id = tracing::field::display(rotation.old.key_id),
        old_expire_time = rotation.old.expire_time.map(timestamp::format).as_deref(),
    );
    // The rotation is done, so the request must not fail when this read does.
    let last_used = engine_call::last_used(&context.engine, &rotation.old).await;
    let last_used = last_used.unwrap_or_default();
    Ok(ControlResponse::with_secret(
        201,
        rotate::render_response(&rotation, last_used, clock::now()),
    ))
}
