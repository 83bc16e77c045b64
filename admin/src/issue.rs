//! `POST /v2alpha1/admin/issuedApiKeys` and `POST /keys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{issue, short};
use talos_engine::{Command, IssueKey, Outcome, Record, Secret, clock};

use crate::context::{Context, TENANT};
use crate::engine_call;

/// Makes a key and shows its secret this once. A repeated `request_id` shows the first key again, without its secret.
pub(crate) async fn issue(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = issue::parse_request(&request.body, TENANT, context.default_ttl_ms)?;
    let (record, secret) = submit(context, command, request).await?;
    let body = issue::render_response(&record, secret.as_ref(), clock::now());
    Ok(ControlResponse::json(201, body))
}

/// The same by the short route.
pub(crate) async fn issue_short(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let command = short::parse_request(&request.body, TENANT, context.default_ttl_ms)?;
    let (record, secret) = submit(context, command, request).await?;
    let body = short::render_response(&record, secret.as_ref(), clock::now());
    Ok(ControlResponse::json(201, body))
}

/// Makes the key, counts it and logs it.
async fn submit(
    context: &Context,
    command: IssueKey,
    request: &ControlRequest,
) -> Result<(Record, Option<Secret>), ApiError> {
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
    Ok((record, secret))
}
