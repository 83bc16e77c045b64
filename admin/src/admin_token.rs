//! `/v2alpha1/admin/tokens` and `/v2alpha1/admin/whoami`

use talos_api::admin_token;
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::whoami;
use talos_credentials::admin_token::{RANDOM_BYTES, digest, text};
use talos_model::{AdminToken, RevokeAdminToken, RotateAdminToken, Secret, TokenDigest, clock};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::engine_call;
use crate::reported_change::ReportedChange;

/// Creates a token and shows its text, which is not stored. When this answers, every core accepts
/// the token.
pub(crate) async fn create(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let wanted = admin_token::parse_create(&request.body)?;
    let (secret, digest) = draw()?;
    let command = wanted.command(digest);
    let token = engine_call::submit(&context.engine, command, request).await?;
    reported.is(token.sequence);
    tracing::info!(
        event = "AdminTokenCreated",
        token_id = %token.id,
        name = token.name,
        role = %token.role,
        request_id = request.request_id,
        "an admin token was created"
    );
    Ok(with_secret(201, &token, &secret))
}

/// Shows all tokens, without their texts. There are so few that they need no pages.
pub(crate) fn list(context: &Context) -> ControlResponse {
    let tokens = context.engine.admin_tokens();
    ControlResponse::json(200, admin_token::render_list(tokens.all()))
}

/// Shows a token without its text.
pub(crate) fn get(context: &Context, id: Uuid) -> Result<ControlResponse, ApiError> {
    let tokens = context.engine.admin_tokens();
    let token = tokens.get(id).ok_or_else(ApiError::admin_token_not_found)?;
    Ok(ControlResponse::json(200, admin_token::render(token)))
}

/// Replaces the text of a token and shows the new one, which is not stored. When this answers, no
/// core accepts the former text any more.
pub(crate) async fn rotate(
    context: &Context,
    id: Uuid,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let ttl_ms = admin_token::parse_rotate(&request.body)?;
    if ttl_ms.is_none() && is_expired(context, id) {
        return Err(admin_token::still_expired());
    }
    let (secret, digest) = draw()?;
    let command = RotateAdminToken { id, digest, ttl_ms };
    let token = engine_call::submit(&context.engine, command, request).await?;
    reported.is(token.sequence);
    tracing::info!(
        event = "AdminTokenRotated",
        token_id = %token.id,
        name = token.name,
        role = %token.role,
        request_id = request.request_id,
        "an admin token was rotated"
    );
    Ok(with_secret(200, &token, &secret))
}

/// Revokes a token. When this answers, no core accepts it any more.
pub(crate) async fn revoke(
    context: &Context,
    id: Uuid,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let command = RevokeAdminToken { id };
    let token = engine_call::submit(&context.engine, command, request).await?;
    reported.is(token.sequence);
    tracing::info!(
        event = "AdminTokenRevoked",
        token_id = %token.id,
        name = token.name,
        role = %token.role,
        request_id = request.request_id,
        "an admin token was revoked"
    );
    Ok(ControlResponse::no_content())
}

/// Shows who the client is.
pub(crate) fn whoami(request: &ControlRequest) -> ControlResponse {
    let body = whoami::render_response(request.principal.as_deref());
    ControlResponse::json(200, body)
}

/// Whether there is such a token, and it has expired.
fn is_expired(context: &Context, id: Uuid) -> bool {
    let tokens = context.engine.admin_tokens();
    let end = tokens.get(id).and_then(|token| token.expire_time);
    end.is_some_and(|end| clock::now() >= end)
}

/// A new text and its digest.
fn draw() -> Result<(Secret, TokenDigest), ApiError> {
    let mut random = Zeroizing::new([0; RANDOM_BYTES]);
    getrandom::fill(&mut *random).map_err(|error| {
        tracing::error!(%error, "the system gave no random bytes");
        ApiError::internal()
    })?;
    let secret = text(&random);
    let digest = digest(secret.expose().as_bytes());
    Ok((secret, digest))
}

fn with_secret(status: u16, token: &AdminToken, secret: &Secret) -> ControlResponse {
    ControlResponse::with_secret(status, admin_token::render_with_secret(token, secret))
}
