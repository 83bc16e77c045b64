//! `GET /v2alpha1/admin/issuedApiKeys` and `GET /v2alpha1/admin/importedApiKeys`

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::list::{self, Asked, Collection};
use talos_api::page_token::PageTokenKeys;
use talos_credentials::Tenant;
use talos_model::{KeyKind, Secret, clock};

use crate::context::Context;
use crate::engine_call;

/// Shows a page of the keys of one kind. The order is the time of creation, or the time of expiry
/// when the filter names a status other than revoked.
pub(crate) async fn list(
    context: &Context,
    kind: KeyKind,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let keys = &page_token_keys(&*context.tenant(request)?);
    let collection = Collection {
        tenant: request.tenant,
        kind,
    };
    let query = list::parse_request(&request.query, collection, keys, clock::now())?;
    let asked = Asked::from(&query);
    let page = engine_call::list(&context.engine, query).await?;
    let mut nonce = [0; 24];
    getrandom::fill(&mut nonce).map_err(|error| {
        tracing::error!(%error, "the system gave no random bytes");
        ApiError::internal()
    })?;
    let body = list::render_response(&asked, &page, keys, &nonce)?;
    Ok(ControlResponse::json(200, body))
}

/// The keys of a tenant's page tokens.
fn page_token_keys(tenant: &Tenant) -> PageTokenKeys {
    let mut secrets = tenant.page_secrets.iter();
    let none = Secret::new(String::new());
    let current = secrets.next().map_or(&none, |current| &current.secret);
    PageTokenKeys::expiring(
        current,
        secrets.map(|old| (&old.secret, old.accepted_until())),
    )
}
