//! Calls the action that answers a request, and has it noted in the audit log.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::body_digest;
use talos_api::route::Endpoint;
use talos_api::version;
use talos_model::KeyKind;

use crate::client::Client;
use crate::context::Context;
use crate::reported_change::ReportedChange;
use crate::{
    admin_token, audit, backup, batch_import, changes, config, delete, derive, fleet, get, import,
    issue, jwks, list, openapi, revoke, revoke_where, rotate, self_revoke, update,
};

/// Answers `request` of `client`.
pub(crate) async fn dispatch(
    context: Arc<Context>,
    request: ControlRequest,
    client: Client,
) -> ControlResponse {
    if let Err(error) = check_body(&request) {
        return audit::unproven(&context, request, error.into());
    }
    let noted = match audit::begin(context.audit.as_ref(), request.endpoint) {
        Ok(noted) => noted,
        Err(error) => return error.into(),
    };
    let reported = ReportedChange::new();
    let receipt = client.receipt();
    let answer = answer(&context, &request, client, &reported)
        .await
        .unwrap_or_else(|error| in_context(error, &request).into());
    let answer = match noted {
        Some(noted) => {
            noted
                .end(&context.engine, &request, &reported, answer)
                .await
        }
        None => answer,
    };
    if let Some(secret) = reported.take_secret() {
        receipt.when_sent(move || secret.sent());
    }
    answer
}

async fn answer(
    context: &Context,
    request: &ControlRequest,
    client: Client,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let answer = act(context, request, reported);
    if request.endpoint.changes_data() {
        return fleet::change(context, request, client, reported, answer).await;
    }
    answer.await
}

/// Adds what the path says to an error.
fn in_context(error: ApiError, request: &ControlRequest) -> ApiError {
    match request.endpoint {
        Endpoint::GetAdminToken | Endpoint::RotateAdminToken | Endpoint::RevokeAdminToken => {
            match request.key_id.admin_token() {
                Ok(token_id) => error.about_token(token_id),
                Err(_) => error,
            }
        }
        _ => match request.key_id.any() {
            Ok(key_id) => error.about_key(key_id),
            Err(_) => error,
        },
    }
}

/// Refuses a request with another body than the one that the forwarding node has sealed: the data
/// plane has let it in by the words of that node, before it read the body.
fn check_body(request: &ControlRequest) -> Result<(), ApiError> {
    match request.sealed_body {
        Some(sealed) if sealed != body_digest(&request.body) => Err(ApiError::unauthenticated(
            "the body is not the one that the forwarding node has sealed",
        )),
        _ => Ok(()),
    }
}

async fn act(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let key_id = request.key_id;
    match request.endpoint {
        Endpoint::IssueKey => issue::issue(context, request, reported).await,
        Endpoint::IssueKeyShort => issue::issue_short(context, request, reported).await,
        Endpoint::ListIssuedKeys => list::list(context, KeyKind::Issued, request).await,
        Endpoint::GetIssuedKey => get::get(context, key_id.issued()?, request).await,
        Endpoint::UpdateIssuedKey => update::update(context, key_id.issued()?, request).await,
        Endpoint::RotateIssuedKey => {
            rotate::rotate(context, key_id.issued()?, request, reported).await
        }
        Endpoint::RevokeIssuedKey => revoke::revoke(context, key_id.issued()?, request).await,
        Endpoint::ImportKey => import::import(context, request, reported).await,
        Endpoint::ImportKeys => batch_import::batch_import(context, request).await,
        Endpoint::ListImportedKeys => list::list(context, KeyKind::Imported, request).await,
        Endpoint::GetImportedKey => get::get(context, key_id.imported()?, request).await,
        Endpoint::UpdateImportedKey => update::update(context, key_id.imported()?, request).await,
        Endpoint::DeleteImportedKey => delete::delete(context, key_id.imported()?, request).await,
        Endpoint::RevokeImportedKey => revoke::revoke(context, key_id.imported()?, request).await,
        Endpoint::RevokeKey => revoke::revoke(context, key_id.any()?, request).await,
        Endpoint::RevokeKeysWhere => revoke_where::revoke_where(context, request, reported).await,
        Endpoint::DeriveToken => derive::derive(context, request).await,
        Endpoint::DeriveTokenById => derive::derive_by_id(context, key_id.any()?, request).await,
        Endpoint::SelfRevoke => self_revoke::self_revoke(context, request, reported).await,
        Endpoint::Replication => Ok(fleet::status(context)),
        Endpoint::ReplicationState => fleet::state(context).await,
        Endpoint::Promote => fleet::promote(context).await,
        Endpoint::Diverged => fleet::diverged(context, request).await,
        Endpoint::Rejoin => fleet::rejoin(context).await,
        Endpoint::Jwks => jwks::answer(context, request),
        Endpoint::Version => {
            let state = context.configuration.state();
            let body = version::render_response(context.release, &state);
            Ok(ControlResponse::json(200, body))
        }
        Endpoint::ReloadConfig => config::reload(context).await,
        Endpoint::OpenApi => Ok(openapi::show(context, request)),
        Endpoint::FollowChanges => changes::follow(context, request).await,
        Endpoint::CreateBackup => backup::create(context).await,
        Endpoint::CreateAdminToken => admin_token::create(context, request, reported).await,
        Endpoint::ListAdminTokens => Ok(admin_token::list(context)),
        Endpoint::GetAdminToken => admin_token::get(context, key_id.admin_token()?),
        Endpoint::RotateAdminToken => {
            admin_token::rotate(context, key_id.admin_token()?, request, reported).await
        }
        Endpoint::RevokeAdminToken => {
            admin_token::revoke(context, key_id.admin_token()?, request, reported).await
        }
        Endpoint::WhoAmI => Ok(admin_token::whoami(request)),
    }
}
