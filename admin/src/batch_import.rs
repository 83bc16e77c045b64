//! `POST /v2alpha1/admin/importedApiKeys:batchCreate`, also `:batchImport`

use talos_api::batch_import::{self, ItemOutcome};
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_model::{ImportKey, ImportKeys, Record, clock};

use crate::context::Context;
use crate::engine_call;
use crate::import::note_imported;

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
    for result in &results {
        context.metrics.batch_item(ItemOutcome::of(result));
        if let Ok(record) = result {
            note_imported(context, record, asked, request);
        }
    }
    let failed = results.iter().filter(|result| result.is_err()).count();
    if failed > 0 {
        tracing::warn!(
            event = "APIKeyImportFailed",
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

/// Imports the keys that are valid. The results have the order of `items`.
async fn import(
    context: &Context,
    items: Vec<Result<ImportKey, ApiError>>,
    request: &ControlRequest,
) -> Result<Vec<Result<Record, ApiError>>, ApiError> {
    let mut commands = Vec::with_capacity(items.len());
    let accepted: Vec<Result<(), ApiError>> = items
        .into_iter()
        .map(|item| item.map(|command| commands.push(command)))
        .collect();
    let mut outcomes = if commands.is_empty() {
        Vec::new().into_iter()
    } else {
        let outcomes = engine_call::submit(&context.engine, ImportKeys(commands), request).await?;
        outcomes.into_iter()
    };
    let result = |accepted: Result<(), ApiError>| {
        accepted.and_then(|()| match outcomes.next() {
            Some(outcome) => outcome.map_err(ApiError::from),
            // Cannot happen: the engine gives one outcome for each key.
            None => Err(ApiError::internal()),
        })
    };
    Ok(accepted.into_iter().map(result).collect())
}
