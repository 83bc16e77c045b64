//! `POST …/{key_id}:revoke` below `/v2alpha1/admin/issuedApiKeys`, `…/importedApiKeys` and
//! `…/apiKeys`, and `DELETE /keys/{key_id}`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::revoke;
use talos_model::{Author, KeyId, RevokeKey};

use crate::context::Context;
use crate::engine_call;
use crate::event_log::key_event;

/// Revokes a key. When this answers, no core accepts the key any more.
pub(crate) async fn revoke(
    context: &Context,
    key_id: KeyId,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let revoke::RevokeRequest {
        reason,
        description,
    } = revoke::parse_request(&request.body)?;
    let command = RevokeKey {
        tenant: request.tenant,
        key_id,
        reason,
        description,
    };
    submit(context, command, Initiator::Administrator, request).await?;
    Ok(ControlResponse::no_content())
}

/// The party that ends a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initiator {
    /// An administrator.
    Administrator,
    /// The holder of the key, who has shown its credential.
    Holder,
}

/// Revokes a key, counts it and logs it.
pub(crate) async fn submit(
    context: &Context,
    command: RevokeKey,
    initiator: Initiator,
    request: &ControlRequest,
) -> Result<(), ApiError> {
    let (reason, engine) = (command.reason, &context.engine);
    let record = match initiator {
        Initiator::Administrator => engine_call::submit(engine, command, request).await?,
        Initiator::Holder => {
            let holder = Some(Author::holder(request.client_ip));
            engine_call::submit_as(engine, holder, command).await?
        }
    };
    context.metrics.key_revoked(reason);
    key_event!(
        event(record.key_id),
        &record,
        request,
        "an API key was revoked",
        initiated_by = (initiator == Initiator::Holder).then_some(Author::HOLDER),
    );
    Ok(())
}

const fn event(key_id: KeyId) -> &'static str {
    match key_id {
        KeyId::Issued(_) => "IssuedAPIKeyRevoked",
        KeyId::Imported(_) => "ImportedAPIKeyRevoked",
    }
}
