//! `POST /v2alpha1/admin/apiKeys:revokeWhere`

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::revoke_where::{self, RevokeWhereRequest};
use talos_engine::{Command, Matcher, Outcome, RevokeWhere, Rule};

use crate::context::{Context, TENANT};
use crate::engine_call;

/// Ends all keys that have something in common, or counts them. Once this has answered, no core accepts any of them. The keys are
/// counted last: nobody should wait for a number while they can still be used.
pub(crate) async fn revoke_where(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let RevokeWhereRequest {
        matcher,
        reason,
        description,
        is_dry_run,
    } = revoke_where::parse_request(&request.body)?;
    if is_dry_run {
        let matched = count_matching(context, matcher).await?;
        return Ok(ControlResponse::json(
            200,
            revoke_where::render_count(matched),
        ));
    }
    let command = Command::RevokeWhere(RevokeWhere {
        tenant: TENANT,
        matcher,
        reason,
        description,
    });
    let outcome = engine_call::submit(&context.engine, command).await?;
    let Outcome::RevokedWhere { rule } = outcome else {
        tracing::error!("the engine answered a revocation of many keys with another outcome");
        return Err(ApiError::internal());
    };
    let matched = count_ended(context, rule.clone()).await;
    context
        .metrics
        .keys_revoked(reason, matched.unwrap_or_default());
    tracing::info!(
        event = "RevocationRuleAdded",
        rule_id = %rule.id,
        tenant = %rule.tenant,
        position = %rule.position,
        keys = matched,
        request_id = request.request_id,
        "all API keys that have something in common were revoked"
    );
    let body = revoke_where::render_response(&rule, matched);
    Ok(ControlResponse::json(200, body))
}

async fn count_matching(context: &Context, matcher: Matcher) -> Result<u64, ApiError> {
    let engine = Arc::clone(&context.engine);
    engine_call::count(move || engine.count_matching(TENANT, &matcher)).await
}

/// The keys have ended. That they cannot be counted is no error that says otherwise.
async fn count_ended(context: &Context, rule: Rule) -> Option<u64> {
    let engine = Arc::clone(&context.engine);
    let counted = engine_call::count(move || engine.count_ended(&rule)).await;
    counted.ok()
}
