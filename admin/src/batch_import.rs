//! `POST /v2alpha1/admin/importedApiKeys:batchCreate`, also `:batchImport`

use talos_api::batch_import::{self, ItemOutcome};
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_model::{ImportKey, ImportKeys, KeyId, Record, clock};

use crate::context::Context;
use crate::engine_call;
use crate::import::note_imported;
use crate::limits;

/// Imports many keys in one write. Each key is accepted or refused on its own.
pub(crate) async fn batch_import(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let asked = clock::now();
    let tenant = context.tenant(request)?;
    let items = batch_import::parse_request(
        &request.body,
        request.tenant,
        tenant.default_ttl_ms,
        &tenant.keyring,
    )?;
    let results = import(context, items, request).await?;
    let mut failed = 0;
    for (index, result) in results.iter().enumerate() {
        let outcome = ItemOutcome::of(result);
        context.metrics.batch_item(outcome);
        match result {
            Ok(record) => note_imported(context, record, asked, request),
            Err(error) => {
                failed += 1;
                if failed <= limits::LOGGED_IMPORT_FAILURES {
                    note_failed(index, outcome, error, request);
                }
            }
        }
    }
    if failed > 0 {
        tracing::warn!(
            tenant = %request.tenant,
            request_id = request.request_id,
            failed,
            of = results.len(),
            "API keys of a batch were not imported"
        );
    }
    let body = batch_import::render_response(&results, clock::now())?;
    Ok(ControlResponse::json(200, body))
}

/// Logs that the key at `index` of the batch was not imported.
fn note_failed(index: usize, outcome: ItemOutcome, error: &ApiError, request: &ControlRequest) {
    tracing::warn!(
        event = "APIKeyImportFailed",
        tenant = %request.tenant,
        index,
        error_code = outcome.error_code(),
        request_id = request.request_id,
        %error,
        "an API key of a batch was not imported"
    );
}

/// Imports the keys that are valid. The results have the order of `items`.
async fn import(
    context: &Context,
    items: Vec<Result<ImportKey, ApiError>>,
    request: &ControlRequest,
) -> Result<Vec<Result<Record, ApiError>>, ApiError> {
    let mut commands = Vec::with_capacity(items.len());
    let mut accept = |command: ImportKey| {
        let key_id = command.key_id;
        commands.push(command);
        key_id
    };
    let accepted: Vec<Result<KeyId, ApiError>> = items
        .into_iter()
        .map(|item| item.map(&mut accept))
        .collect();
    let mut outcomes = if commands.is_empty() {
        Vec::new().into_iter()
    } else {
        let outcomes = engine_call::submit(&context.engine, ImportKeys(commands), request).await?;
        outcomes.into_iter()
    };
    let result = |accepted: Result<KeyId, ApiError>| {
        accepted.and_then(|key_id| match outcomes.next() {
            Some(outcome) => outcome.map_err(|error| ApiError::from(error).about_key(key_id)),
            // Cannot happen: the engine gives one outcome for each key.
            None => Err(ApiError::internal()),
        })
    };
    Ok(accepted.into_iter().map(result).collect())
}
