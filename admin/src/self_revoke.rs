//! `POST /v2alpha1/apiKeys:selfRevoke`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::{ApiError, Reason};
use talos_api::{revoke, self_revoke};
use talos_engine::{CacheMode, KeyId, Query, RevokeKey, clock};

use crate::context::{Context, TENANT};
use crate::engine_call;
use crate::revoke::submit;

/// Ends the key whose credential is shown. A key that is revoked already stays as it is.
pub(crate) async fn self_revoke(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let macaroons = context.engine.macaroon_prefixes();
    let asked = self_revoke::parse_request(&request.body, &macaroons)?;
    let key_id = identify(context, request, &asked.credential)?;
    // Everybody can ask, so unknown credentials are sorted out by a read and never queue among the writes.
    let record = engine_call::get(&context.engine, TENANT, key_id)
        .await
        .map_err(unknown_if_not_found)?;
    if record.revocation.is_none() {
        let command = RevokeKey {
            tenant: TENANT,
            key_id,
            reason: asked.reason,
            description: String::new(),
        };
        match submit(context, command, request).await {
            // Another request was faster.
            Err(error) if error.reason() == Reason::FailedPrecondition => {}
            revoked => revoked.map_err(unknown_if_not_found)?,
        }
    }
    Ok(ControlResponse::json(200, revoke::RESPONSE.to_vec()))
}

/// The key that the credential belongs to, whether it exists or not.
fn identify(
    context: &Context,
    request: &ControlRequest,
    credential: &str,
) -> Result<KeyId, ApiError> {
    let query = Query {
        tenant: TENANT,
        credential: credential.as_bytes(),
        expected_audiences: &[],
        client_ip: request.client_ip,
        cache: CacheMode::Bypass,
        now: clock::now(),
    };
    context
        .engine
        .identify(&query)
        .map_err(|_| ApiError::unknown_credential())
}

/// One answer for credentials that nobody made and for those whose key is gone.
fn unknown_if_not_found(error: ApiError) -> ApiError {
    match error.reason() {
        Reason::ApiKeyNotFound => ApiError::unknown_credential(),
        _ => error,
    }
}
