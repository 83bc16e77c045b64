//! `POST /v2alpha1/admin/issuedApiKeys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::issue;
use talos_engine::{Command, Outcome, clock};

use crate::dispatch::{Context, TENANT};
use crate::engine_call;

/// Makes a key and shows its secret this once. A repeated `request_id` shows the first key again, without its secret.
pub(crate) async fn issue(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = issue::parse_request(&request.body, TENANT, context.default_ttl_ms)?;
    let Outcome::Issued { record, secret } =
        engine_call::submit(&context.engine, Command::Issue(command)).await?
    else {
        tracing::error!("the engine answered an issue with another outcome");
        return Err(ApiError::internal());
    };
    // A replay changed nothing, so it is no event.
    if secret.is_some() {
        context.metrics.key_created();
        tracing::info!(
            event = "IssuedAPIKeyCreated",
            key_id = %record.key_id,
            tenant = %record.tenant,
            actor_id = record.actor_id,
            request_id = request.request_id,
            "an API key was issued"
        );
    }
    Ok(ControlResponse::json(
        201,
        issue::render_response(&record, secret.as_ref(), clock::now()),
    ))
}
