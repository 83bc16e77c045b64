//! `GET /openapi.json`: the document shows the limits of the tenant that is asked.

use std::sync::PoisonError;

use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::limits;
use talos_api::openapi::{Server, render};
use talos_model::Visibility;

use crate::context::Context;

/// Answers with the document.
pub(crate) fn show(context: &Context, request: &ControlRequest) -> ControlResponse {
    let server = server(context, request);
    let mut last = context
        .openapi
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some((shown, document)) = &*last
        && *shown == server
    {
        return ControlResponse::json(200, document.clone());
    }
    let document = render(&server);
    *last = Some((server, document.clone()));
    ControlResponse::json(200, document)
}

/// What the document says about the server. Under a host without a tenant it is what a tenant may
/// have at most.
fn server(context: &Context, request: &ControlRequest) -> Server<'static> {
    let version = context.release;
    match context.tenant(request) {
        Ok(tenant) => Server {
            version,
            lifetime_max_s: tenant.keyring.max_ttl_s(),
            issues_public_keys: tenant.keyring.prefix(Visibility::Public).is_some(),
        },
        Err(_) => Server {
            version,
            lifetime_max_s: limits::TTL_SECONDS_MAX,
            issues_public_keys: true,
        },
    }
}
