//! Notes in the audit log what never reaches the control plane: refused requests and failed
//! verifications.
//!
//! Guarantees: nothing here waits; only the few that are noted in a minute allocate; of a
//! credential only its public part is noted.

use std::net::IpAddr;
use std::sync::Arc;

use talos_api::audit::{self, CREDENTIAL_START_CHARS, Entry, Event, Notice};
use talos_api::error::ApiError;
use talos_api::openapi;
use talos_api::route::{HotRoute, Resolution, Target};
use talos_api::verify::refused_code;
use talos_credentials::{credential_kind, public_part};
use talos_model::{Principal, Query, Refusal, TenantId, clock};

use crate::metrics::Route;
use crate::request_context::RequestContext;
use crate::response::Exchange;

/// Notes that a request to a route was refused before it was carried out. `principal` is who asked,
/// if they proved it.
#[cold]
pub(crate) fn note_refusal(
    exchange: &Exchange<'_>,
    resolution: &Resolution<'_>,
    context: RequestContext,
    principal: Option<&Arc<Principal>>,
    error: &ApiError,
) {
    let Some(log) = &exchange.core.shared.audit else {
        return;
    };
    let (operation, key_id) = match resolution {
        Resolution::Control(route) => (
            Operation {
                target: Target::Control(route.endpoint),
                method: route.method,
                route: route.template,
            },
            // Another id than that of a key is left out.
            route
                .key_id
                .parse()
                .any()
                .ok()
                .filter(|_| route.template.contains("{key_id}")),
        ),
        Resolution::Hot(hot) => (Operation::of(*hot), None),
        Resolution::NotFound | Resolution::MethodNotAllowed(_) => return,
    };
    log.note(Notice::Request, &mut || Entry {
        principal: principal.cloned(),
        key_ids: key_id.into_iter().collect(),
        ..entry(
            exchange,
            Event::RequestRefused,
            (context.tenant, context.client_ip),
            operation,
            &Refused {
                status: error.status(),
                reason: error.reason().name(),
            },
        )
    });
}

/// Notes that a credential was refused, in the log and in the audit log.
#[cold]
pub(crate) fn note_failure(exchange: &Exchange<'_>, query: &Query<'_>, refusal: Refusal) {
    // These say nothing about the credential.
    if matches!(refusal, Refusal::Internal | Refusal::AnswerTooLarge) {
        return;
    }
    let shared = &exchange.core.shared;
    if shared.failure_quota.admits(query.tenant, query.now) {
        let prefixes = shared.engine.macaroon_prefixes(query.tenant);
        tracing::info!(
            event = Event::VerificationFailed.name(),
            tenant = %query.tenant,
            error_code = refused_code(refusal),
            credential_type = credential_kind(query.credential, &prefixes),
            request_id = %String::from_utf8_lossy(exchange.request_id.bytes()),
            "a credential was refused"
        );
    }
    let Some(log) = &shared.audit else {
        return;
    };
    let operation = Operation::of(match exchange.route {
        Route::BatchVerify => HotRoute::BatchVerify,
        Route::VerifyBearer => HotRoute::VerifyBearer,
        _ => HotRoute::Verify,
    });
    log.note(Notice::Verification(query.tenant), &mut || {
        let prefixes = shared.engine.macaroon_prefixes(query.tenant);
        Entry {
            credential: Some(public_part(
                query.credential,
                &prefixes,
                CREDENTIAL_START_CHARS,
            )),
            ..entry(
                exchange,
                Event::VerificationFailed,
                (query.tenant, query.client_ip),
                operation,
                &Refused {
                    status: 200,
                    reason: refused_code(refusal),
                },
            )
        }
    });
}

/// What was asked for.
#[derive(Clone, Copy)]
struct Operation {
    target: Target,
    method: &'static str,
    route: &'static str,
}

impl Operation {
    /// That of a hot route. A route with several methods is noted as one.
    fn of(hot: HotRoute) -> Self {
        let method = match hot {
            HotRoute::Verify | HotRoute::BatchVerify => "POST",
            HotRoute::VerifyBearer | HotRoute::Alive | HotRoute::Ready => "GET",
        };
        Self {
            target: Target::Hot(hot),
            method,
            route: hot.template(),
        }
    }
}

/// Why it was refused.
#[derive(Clone, Copy)]
struct Refused {
    status: u16,
    reason: &'static str,
}

fn entry(
    exchange: &Exchange<'_>,
    event: Event,
    (tenant, client): (TenantId, Option<IpAddr>),
    operation: Operation,
    refused: &Refused,
) -> Entry {
    Entry {
        event,
        time: clock::now(),
        principal: None,
        client,
        request_id: audit::request_id(exchange.request_id.bytes()),
        operation: openapi::operation_id(operation.target, operation.method, operation.route),
        method: operation.method,
        route: operation.route,
        tenant,
        key_ids: Vec::new(),
        token_ids: Vec::new(),
        status: refused.status,
        reason: Some(refused.reason.to_owned()),
        position: None,
        count: None,
        forwarded_to: None,
        credential: None,
    }
}
