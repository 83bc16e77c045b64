//! `POST /v2alpha1/admin/importedApiKeys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::import;
use talos_engine::clock::UnixMillis;
use talos_engine::{Command, Outcome, Record, clock};

use crate::context::{Context, TENANT};
use crate::engine_call;

/// Takes over a key. A repeated `request_id` shows the first key again.
pub(crate) async fn import(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let asked = clock::now();
    let record = record(context, request).await.inspect_err(|error| {
        tracing::warn!(
            event = "APIKeyImportFailed",
            tenant = %TENANT,
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

async fn record(context: &Context, request: &ControlRequest) -> Result<Record, ApiError> {
    let macaroons = context.engine.macaroon_prefixes();
    let command = import::parse_request(&request.body, TENANT, context.default_ttl_ms, &macaroons)?;
    let Outcome::Imported { record } =
        engine_call::submit(&context.engine, Command::Import(command)).await?
    else {
        tracing::error!("the engine answered an import with another outcome");
        return Err(ApiError::internal());
    };
    Ok(record)
}

/// Counts and logs that the key of `record` is known, unless it was before the request came, at `asked`: a replay changed
/// nothing, so it is no event.
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
    tracing::info!(
        event = "ImportedAPIKeyCreated",
        key_id = %record.key_id,
        tenant = %record.tenant,
        actor_id = record.actor_id,
        request_id = request.request_id,
        "an API key was imported"
    );
}
