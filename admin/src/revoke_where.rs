//! `POST /v2alpha1/admin/apiKeys:revokeWhere`

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::revoke_where::{self, Effect, RevokeWhereRequest};
use talos_model::{BulkRevocation, Matcher, RevokeWhere, Sequence, TenantId};

use crate::context::Context;
use crate::engine_call;
use crate::reported_change::ReportedChange;

/// Revokes all keys that match a filter, or counts them. When this answers, no core accepts any of
/// them. The keys are counted after the revocation, so that the count does not delay it.
pub(crate) async fn revoke_where(
    context: &Context,
    request: &ControlRequest,
    reported: &ReportedChange,
) -> Result<ControlResponse, ApiError> {
    let RevokeWhereRequest {
        matcher,
        reason,
        description,
        effect,
    } = revoke_where::parse_request(&request.body)?;
    if effect == Effect::Count {
        let matched = count_matching(context, request.tenant, matcher).await?;
        // A count changes nothing, and it reports no change.
        reported.is(Sequence(0));
        return Ok(ControlResponse::json(
            200,
            revoke_where::render_count(matched),
        ));
    }
    let command = RevokeWhere {
        tenant: request.tenant,
        matcher,
        reason,
        description,
    };
    let bulk_revocation = engine_call::submit(&context.engine, command, request).await?;
    reported.is(bulk_revocation.position.sequence);
    let matched = count_ended(context, bulk_revocation.clone()).await;
    context
        .metrics
        .keys_revoked(reason, matched.unwrap_or_default());
    tracing::info!(
        event = "RevocationRuleAdded",
        rule_id = %bulk_revocation.id,
        tenant = %bulk_revocation.tenant,
        position = %bulk_revocation.position,
        keys = matched,
        request_id = request.request_id,
        "all API keys that have something in common were revoked"
    );
    let body = revoke_where::render_response(&bulk_revocation, matched);
    Ok(ControlResponse::json(200, body))
}

async fn count_matching(
    context: &Context,
    tenant: TenantId,
    matcher: Matcher,
) -> Result<u64, ApiError> {
    let engine = Arc::clone(&context.engine);
    engine_call::count(move || engine.count_matching(tenant, &matcher)).await
}

/// Counts the revoked keys; `None` when that fails. The revocation is done, so the request must not
/// fail.
async fn count_ended(context: &Context, bulk_revocation: BulkRevocation) -> Option<u64> {
    let engine = Arc::clone(&context.engine);
    let counted = engine_call::count(move || engine.count_ended(&bulk_revocation)).await;
    counted.ok()
}
