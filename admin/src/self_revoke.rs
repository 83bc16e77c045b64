//! `POST /v2alpha1/apiKeys:selfRevoke`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::{ApiError, Reason};
use talos_api::self_revoke;
use talos_credentials::Keyring;
use talos_model::{CacheMode, KeyId, Query, Record, RevokeKey, Visibility, clock};

use crate::context::Context;
use crate::engine_call;
use crate::reported_change::ReportedChange;
use crate::revoke::{Initiator, submit};

/// The header that names the client's program. Names of headers are in lower case here.
const USER_AGENT: &str = "user-agent";

/// Revokes the key whose credential the body contains. Does nothing when the key is already
/// revoked. A public key is in the hands of everybody who reads a page, so it ends only by an
/// administrator.
pub(crate) async fn self_revoke(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let tenant = context.tenant(request)?;
    let asked = self_revoke::parse_request(&request.body)?;
    let unknown = || unknown(&tenant.keyring, &asked.credential);
    let key_id = identify(context, request, &asked.credential).ok_or_else(unknown)?;
    let unknown_if_not_found = |error: ApiError| match error.reason() {
        Reason::ApiKeyNotFound => unknown(),
        _ => error,
    };
    reported.concerns(key_id);
    // The route is public. This read keeps unknown credentials out of the queue of writes.
    let record = engine_call::get(&context.engine, request.tenant, key_id)
        .await
        .map_err(unknown_if_not_found)?;
    if record.revocation.is_some() {
        already_revoked(context, &record, reported).await;
    } else if record.visibility == Visibility::Public {
        return Err(ApiError::forbidden(
            "a public key cannot revoke itself, because its readers are not its owner; an administrator can revoke it",
        )
        .about_key(key_id));
    } else {
        let command = RevokeKey {
            tenant: request.tenant,
            key_id,
            reason: asked.reason,
            description: String::new(),
        };
        match submit(context, command, Initiator::Holder, request).await {
            // Another request has revoked the key since the read.
            Err(error) if error.reason() == Reason::FailedPrecondition => {
                already_revoked(context, &record, reported).await;
            }
            revoked => revoked.map_err(unknown_if_not_found)?,
        }
    }
    let user_agent = request
        .headers
        .iter()
        .find(|(name, _)| name == USER_AGENT)
        .map(|(_, value)| value.as_str());
    Ok(self_revoke::response(user_agent))
}

/// The key of `record` was revoked before this request. The answer rests on that revocation.
async fn already_revoked(context: &Context, record: &Record, reported: &ReportedChange) {
    reported.nothing();
    // A bulk revocation ends keys before their records say so. Then the answer rests on the newest
    // change, which is that of the bulk revocation or a later one.
    if context.engine.bulk_revocations_in_force() > 0 {
        return;
    }
    // Without one, the record names its own end. It is read again, because a bulk revocation may
    // have been in force before.
    let read = engine_call::get(&context.engine, record.tenant, record.key_id).await;
    if let Ok(record) = read
        && context.engine.bulk_revocations_in_force() == 0
    {
        reported.is_record(&record);
    }
}

/// The id of the key that the credential belongs to. The key may not exist.
fn identify(context: &Context, request: &ControlRequest, credential: &str) -> Option<KeyId> {
    let query = Query {
        tenant: request.tenant,
        credential: credential.as_bytes(),
        expected_audiences: &[],
        client_ip: request.client_ip,
        cache: CacheMode::Bypass,
        now: clock::now(),
    };
    context.engine.identify(&query).ok()
}

/// The one answer to an invalid credential and to that of a deleted key. An imported key may look
/// like a token, so only a credential of no key is taken for one.
fn unknown(keyring: &Keyring, credential: &str) -> ApiError {
    if keyring.has_token_form(credential.as_bytes()) {
        ApiError::derived_token_not_revocable()
    } else {
        ApiError::unknown_credential()
    }
}
