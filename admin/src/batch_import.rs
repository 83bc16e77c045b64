//! `POST /v2alpha1/admin/importedApiKeys:batchCreate`, also `:batchImport`

use talos_api::batch_import::{self, ItemOutcome};
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_engine::{Command, ImportKey, Outcome, Record, clock};

use crate::context::{Context, TENANT};
use crate::engine_call;
use crate::import::note_imported;

/// Takes over many keys in one write; each is accepted or refused for itself.
pub(crate) async fn batch_import(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let asked = clock::now();
    let macaroons = context.engine.macaroon_prefixes();
    let items =
        batch_import::parse_request(&request.body, TENANT, context.default_ttl_ms, &macaroons)?;
    let results = import(context, items).await?;
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
            tenant = %TENANT,
            request_id = request.request_id,
            failed,
            of = results.len(),
            "API keys of a batch were not imported"
        );
    }
    let body = batch_import::render_response(&results, clock::now())?;
    Ok(ControlResponse::json(200, body))
}

/// Submits the keys that may be imported, and puts what became of them where they stood.
async fn import(
    context: &Context,
    items: Vec<Result<ImportKey, ApiError>>,
) -> Result<Vec<Result<Record, ApiError>>, ApiError> {
    let mut commands = Vec::with_capacity(items.len());
    let accepted: Vec<Result<(), ApiError>> = items
        .into_iter()
        .map(|item| item.map(|command| commands.push(command)))
        .collect();
    let mut outcomes = if commands.is_empty() {
        Vec::new().into_iter()
    } else {
        match engine_call::submit(&context.engine, Command::ImportMany(commands)).await? {
            Outcome::ImportedMany(outcomes) => outcomes.into_iter(),
            _ => return Err(other_outcome()),
        }
    };
    let result = |accepted: Result<(), ApiError>| {
        accepted.and_then(|()| match outcomes.next() {
            Some(outcome) => outcome.map_err(ApiError::from),
            None => Err(other_outcome()),
        })
    };
    Ok(accepted.into_iter().map(result).collect())
}

fn other_outcome() -> ApiError {
    tracing::error!("the engine answered a batch import with another outcome");
    ApiError::internal()
}
