//! `POST /v2alpha1/admin/importedApiKeys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::{ApiError, Reason};
use talos_api::import;
use talos_model::Record;
use talos_model::clock::{self, UnixMillis};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;
use crate::reported_change::ReportedChange;

/// Imports a key. A repeated `request_id` shows the first key again.
pub(crate) async fn import(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let asked = clock::now();
    let record = record(context, request, reported)
        .await
        .inspect_err(|error| {
            tracing::warn!(
                event = "APIKeyImportFailed",
                tenant = %request.tenant,
                error_code = error.reason().name(),
                request_id = request.request_id,
                %error,
                "an API key was not imported"
            );
        })?;
    note_imported(context, &record, asked, request);
    Ok(ControlResponse::json(
        201,
        import::render_response(&record, clock::now()),
    ))
}

async fn record(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<Record, ApiError> {
    let tenant = context.tenant(request)?;
    let command = import::parse_request(
        &request.body,
        request.tenant,
        tenant.default_ttl_ms,
        &tenant.keyring,
    )?;
    let key_id = command.key_id;
    let record = |record| record;
    let engine = &context.engine;
    let imported = engine_call::submit_once(engine, command, request, reported, record)
        .await
        .map_err(|error| error.about_key(key_id));
    match &imported {
        Ok(record) => reported.is_record(record),
        Err(error) if error.reason() == Reason::ApiKeyExists => {
            // The key exists because of an earlier import.
            if let Ok(known) = engine_call::get(&context.engine, request.tenant, key_id).await {
                reported.is_record(&known);
            }
        }
        Err(_) => {}
    }
    imported
}

/// Counts and logs the import of the key of `record`. Does nothing when the key is older than the
/// request, which came at `asked`: then a repeated request has changed nothing.
pub(crate) fn note_imported(
    context: &Context,
    record: &Record,
    asked: UnixMillis,
    request: &ControlRequest,
) {
    if record.create_time < asked {
        return;
    }
    context.metrics.key_created();
    key_event!(
        "ImportedAPIKeyCreated",
        record,
        request,
        "an API key was imported",
    );
}
