//! From a request to the action that answers it.

use std::sync::Arc;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::page_token::PageTokenKeys;
use talos_api::route::{self, Endpoint, Match};
use talos_engine::{Engine, KeyKind, TenantId};

use crate::metrics::ControlMetrics;
use crate::{
    batch_import, delete, derive, get, import, issue, list, revoke, rotate, self_revoke, update,
};

/// The tenant of every request.
pub(crate) const TENANT: TenantId = TenantId::SINGLE;

/// What every action may use.
pub(crate) struct Context {
    pub(crate) engine: Arc<Engine>,
    pub(crate) metrics: Arc<ControlMetrics>,
    /// See [`crate::AdminSettings::default_ttl_ms`].
    pub(crate) default_ttl_ms: Option<u64>,
    /// See [`crate::AdminSettings::page_tokens`].
    pub(crate) page_tokens: PageTokenKeys,
    /// The answer of the JWKS routes.
    pub(crate) jwks: Vec<u8>,
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
        Endpoint::DeriveToken => derive::derive(context, request).await,
        Endpoint::DeriveTokenById => derive::derive_by_id(context, key_id.any()?, request).await,
        Endpoint::SelfRevoke => self_revoke::self_revoke(context, request).await,
        Endpoint::Jwks => Ok(ControlResponse::json(200, context.jwks.clone())),
        Endpoint::Version => Ok(ControlResponse::json(200, context.version.clone())),
        Endpoint::OpenApi => Ok(ControlResponse::json(200, context.openapi.clone())),
        // The data plane answers these itself and hands none over.
        Endpoint::Hot(_) => Err(ApiError::not_found_route()),
    }
}
