//! From a request to the action that answers it.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::Fleet;
use talos_api::page_token::PageTokenKeys;
use talos_api::route::{self, Endpoint, Match, PathId};
use talos_engine::{Engine, KeyKind, TenantId};
use tokio::sync::Semaphore;

use crate::forward::Forwarder;
use crate::metrics::ControlMetrics;
use crate::news::News;
use crate::{
    backup, batch_import, changes, delete, derive, fleet, get, import, issue, list, revoke,
    revoke_where, rotate, self_revoke, update,
};

/// The tenant of every request.
pub(crate) const TENANT: TenantId = TenantId::SINGLE;

/// What every action may use.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    /// The node's place among others.
    pub(crate) fleet: Arc<dyn Fleet>,
    pub(crate) forwarder: Forwarder,
    pub(crate) metrics: Arc<ControlMetrics>,
    /// See [`crate::AdminSettings::default_ttl_ms`].
    pub(crate) default_ttl_ms: Option<u64>,
    /// See [`crate::AdminSettings::page_tokens`].
    pub(crate) page_tokens: PageTokenKeys,
    /// Tells streams that there are new changes.
    pub(crate) news: News,
    /// The places for streams of changes.
    pub(crate) change_streams: Arc<Semaphore>,
    /// The answer of the JWKS routes.
    pub(crate) jwks: Vec<u8>,
    /// The version of the server.
    pub(crate) release: &'static str,
    /// The answer of the version route.
    pub(crate) version: Vec<u8>,
    /// The answer of the route of the document.
    pub(crate) openapi: Vec<u8>,
}

/// Answers `request`, whatever it is.
pub(crate) async fn dispatch(context: Arc<Context>, request: ControlRequest) -> ControlResponse {
    answer(&context, &request)
        .await
        .unwrap_or_else(ControlResponse::from)
}

async fn answer(context: &Context, request: &ControlRequest) -> Result<ControlResponse, ApiError> {
    let (endpoint, key_id) = match route::find(&request.method, &request.path) {
        Match::Found {
            endpoint, key_id, ..
        } => (endpoint, key_id),
        Match::NotFound => return Err(ApiError::not_found_route()),
        Match::MethodNotAllowed(allow) => return Err(ApiError::method_not_allowed(allow)),
    };
    let answer = act(context, request, endpoint, key_id);
    if endpoint.changes_keys() {
        return fleet::change(context, request, answer).await;
    }
    answer.await
}

async fn act(
    context: &Context,
    request: &ControlRequest,
    endpoint: Endpoint,
    key_id: PathId<'_>,
) -> Result<ControlResponse, ApiError> {
    match endpoint {
        Endpoint::IssueKey => issue::issue(context, request).await,
        Endpoint::IssueKeyShort => issue::issue_short(context, request).await,
        Endpoint::ListIssuedKeys => list::list(context, KeyKind::Issued, request).await,
        Endpoint::GetIssuedKey => get::get(context, key_id.issued()?).await,
        Endpoint::UpdateIssuedKey => update::update(context, key_id.issued()?, request).await,
        Endpoint::RotateIssuedKey => rotate::rotate(context, key_id.issued()?, request).await,
        Endpoint::RevokeIssuedKey => revoke::revoke(context, key_id.issued()?, request).await,
        Endpoint::ImportKey => import::import(context, request).await,
        Endpoint::ImportKeys => batch_import::batch_import(context, request).await,
        Endpoint::ListImportedKeys => list::list(context, KeyKind::Imported, request).await,
        Endpoint::GetImportedKey => get::get(context, key_id.imported()?).await,
        Endpoint::UpdateImportedKey => update::update(context, key_id.imported()?, request).await,
        Endpoint::DeleteImportedKey => delete::delete(context, key_id.imported()?, request).await,
        Endpoint::RevokeImportedKey => revoke::revoke(context, key_id.imported()?, request).await,
        Endpoint::RevokeKey => revoke::revoke(context, key_id.any()?, request).await,
        Endpoint::RevokeKeysWhere => revoke_where::revoke_where(context, request).await,
        Endpoint::DeriveToken => derive::derive(context, request).await,
        Endpoint::DeriveTokenById => derive::derive_by_id(context, key_id.any()?, request).await,
        Endpoint::SelfRevoke => self_revoke::self_revoke(context, request).await,
        Endpoint::Replication => Ok(fleet::status(context)),
        Endpoint::ReplicationState => fleet::state(context).await,
        Endpoint::Promote => fleet::promote(context).await,
        Endpoint::Diverged => fleet::diverged(context, request).await,
        Endpoint::Rejoin => fleet::rejoin(context).await,
        Endpoint::Jwks => Ok(ControlResponse::json(200, context.jwks.clone())),
        Endpoint::Version => Ok(ControlResponse::json(200, context.version.clone())),
        Endpoint::OpenApi => Ok(ControlResponse::json(200, context.openapi.clone())),
        Endpoint::FollowChanges => changes::follow(context, request).await,
        Endpoint::CreateBackup => backup::create(context).await,
        // The data plane answers these itself and hands none over.
        Endpoint::Hot(_) => Err(ApiError::not_found_route()),
    }
}
