//! `POST /v2alpha1/admin/issuedApiKeys` and `POST /keys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{issue, short};
use talos_model::{IssueKey, Issued, clock};

use crate::context::Context;
use crate::engine_call;
use crate::reported_change::ReportedChange;

/// Issues a key and shows its secret, which is not stored. A repeated `request_id` shows the first
/// key again, without its secret.
pub(crate) async fn issue(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let default_ttl_ms = context.tenant(request)?.default_ttl_ms;
    let command = issue::parse_request(&request.body, request.tenant, default_ttl_ms)?;
    let Issued { record, secret } = submit(context, command, request, reported).await?;
    let body = issue::render_response(&record, secret.as_ref(), clock::now());
    Ok(ControlResponse::with_secret(201, body))
}

/// Issues a key by the short route.
pub(crate) async fn issue_short(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let default_ttl_ms = context.tenant(request)?.default_ttl_ms;
    let command = short::parse_request(&request.body, request.tenant, default_ttl_ms)?;
    let Issued { record, secret } = submit(context, command, request, reported).await?;
    let body = short::render_response(&record, secret.as_ref(), clock::now());
    Ok(ControlResponse::with_secret(201, body))
}

/// Issues the key, counts it and logs it.
async fn submit(
    context: &Context,
    command: IssueKey,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<Issued, ApiError> {
    let issued = engine_call::submit(&context.engine, command, request).await?;
    let Issued { record, secret } = &issued;
    reported.is_record(record);
    // A repeated request has changed nothing, so it is not counted or logged.
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
    Ok(issued)
}
