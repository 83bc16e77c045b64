//! `DELETE /v2alpha1/admin/importedApiKeys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::{ApiError, Reason};
use talos_model::{DeleteKey, KeyId, RecordKey};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;

/// Deletes an imported key. When this answers, no core accepts the key any more.
pub(crate) async fn delete(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = DeleteKey {
        tenant: request.tenant,
        key_id,
    };
    let key = RecordKey::new(request.tenant, key_id);
    let mut deletion = context.deletions.begin(&context.engine, key);
    let deleted = engine_call::submit(&context.engine, command, request).await;
    let record = deleted.inspect_err(|error| {
        if error.reason() == Reason::ApiKeyNotFound {
            deletion.found_nothing();
        }
    })?;
    context.metrics.key_deleted();
    key_event!(
        "ImportedAPIKeyDeleted",
        &record,
        request,
        "an imported API key was deleted",
    );
    Ok(ControlResponse::no_content())
}
