//! `POST /v2alpha1/admin/apiKeys:derive` and `POST /keys/{key_id}/derive`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::derive;
use talos_api::error::{ApiError, Reason};
use talos_credentials::DeriveToken;
use talos_model::{CacheMode, KeyId, Query, Record, clock};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;

/// Derives a token from the key whose credential the body contains. Nothing is stored.
pub(crate) async fn derive(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let tenant = context.tenant(request)?;
    let derive::DeriveRequest { credential, wanted } = derive::parse_request(&request.body)?;
    let query = Query {
        tenant: request.tenant,
        credential: credential.as_bytes(),
        expected_audiences: &[],
        client_ip: request.client_ip,
        cache: CacheMode::Bypass,
        now: clock::now(),
    };
    // An imported key may look like a token, so the form alone decides nothing.
    let no_parent = || {
        if tenant.keyring.has_token_form(query.credential) {
            ApiError::invalid_token_type()
        } else {
            ApiError::parent_key_invalid()
        }
    };
    let key_id = context.engine.identify(&query).map_err(|_| no_parent())?;
    let parent = engine_call::get(&context.engine, request.tenant, key_id)
        .await
        .map_err(|error| match error.reason() {
            Reason::ApiKeyNotFound => no_parent(),
            _ => error,
        })?;
    mint(context, &parent, wanted, request)
}

/// Derives a token from the key with an id. This needs no credential, so the route is for
/// administrators.
pub(crate) async fn derive_by_id(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let wanted = derive::parse_short_request(&request.body)?;
    let parent = engine_call::get(&context.engine, request.tenant, key_id).await?;
    mint(context, &parent, wanted, request)
}

fn mint(
    context: &Context,
    parent: &Record,
    wanted: DeriveToken,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let key_id = parent.key_id;
    let token_type = wanted.token_type;
    let derived = context
        .engine
        .derive(parent, wanted, request.client_ip)
        .map_err(|error| {
            let answer = ApiError::from(error.clone())
                .about_key(key_id)
                .about_actor(&parent.actor_id);
            if answer.status() >= 500 {
                tracing::error!(%error, %key_id, "a token could not be derived");
            }
            answer
        })?;
    context.engine.touch(request.tenant, key_id, clock::now());
    context.metrics.token_minted(token_type);
    key_event!(
        "APIKeyDerivedToken",
        parent,
        request,
        "a token was derived from an API key",
        token_id = derived.claims.token_id,
        algorithm = token_type.name(),
        ttl = derive::ttl(&derived.claims),
    );
    Ok(ControlResponse::with_secret(
        200,
        derive::render_response(&derived),
    ))
}
