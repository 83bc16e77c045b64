//! `POST /v2alpha1/admin/issuedApiKeys` and `POST /keys`

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::{issue, short};
use talos_model::clock::{self, UnixMillis};
use talos_model::{IssueKey, Issued, Record, RecordKey, Secret};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;
use crate::reported_change::ReportedChange;
use crate::unsent_secrets::{Asker, UnsentSecret};

/// Issues a key and shows its secret, which is not stored. A repeated `request_id` shows the first
/// key again, without its secret if an answer with the secret was sent.
pub(crate) async fn issue(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let default_ttl_ms = context.tenant(request)?.default_ttl_ms;
    let command = issue::parse_request(&request.body, request.tenant, default_ttl_ms)?;
    submit(context, command, request, reported, issue::render_response).await
}

/// Issues a key by the short route.
pub(crate) async fn issue_short(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let default_ttl_ms = context.tenant(request)?.default_ttl_ms;
    let command = short::parse_request(&request.body, request.tenant, default_ttl_ms)?;
    submit(context, command, request, reported, short::render_response).await
}

/// Issues the key, counts it, logs it and renders the answer.
async fn submit(
    context: &Context,
    command: IssueKey,
    request: &ControlRequest,
    reported: &ReportedChange,
    render: fn(&Record, Option<&Secret>, UnixMillis) -> Vec<u8>,
) -> Result<ControlResponse, ApiError> {
    let is_repeatable = command.request_id.is_some();
    let asker = Asker::new(request.principal.as_deref());
    let (unsent, first_asker) = (Arc::clone(&context.unsent_secrets), asker.clone());
    let engine = &context.engine;
    let keep = move |Issued { record, secret }| {
        let key = RecordKey::new(record.tenant, record.key_id);
        let secret = secret.map(|secret| {
            if is_repeatable {
                unsent.hold(key, secret, first_asker)
            } else {
                UnsentSecret::unrepeatable(key, secret)
            }
        });
        (record, secret)
    };
    let (record, secret) =
        engine_call::submit_once(engine, command, request, reported, keep).await?;
    reported.is_record(&record);
    // A repeated request has changed nothing, so it is not counted or logged.
    if secret.is_some() {
        context.metrics.key_created();
        key_event!(
            "IssuedAPIKeyCreated",
            &record,
            request,
            "an API key was issued",
        );
    }
    let secret = secret.or_else(|| {
        let key = RecordKey::new(record.tenant, record.key_id);
        context.unsent_secrets.take(&key, asker)
    });
    let shown = secret.as_ref().and_then(UnsentSecret::secret);
    let body = render(&record, shown, clock::now());
    if let Some(secret) = secret {
        reported.shows(secret);
    }
    Ok(ControlResponse::with_secret(201, body))
}
