//! Notes in the audit log what never reaches the control plane: refused requests and failed
//! verifications.
//!
//! Guarantees: nothing here waits; without an audit log nothing is done; only the few that are
//! noted in a minute allocate; of a credential only its public part is noted.

use std::sync::Arc;

use talos_api::audit::{self, CREDENTIAL_START_CHARS, Entry, Event, Notice};
use talos_api::error::ApiError;
use talos_api::openapi;
use talos_api::route::{ControlRoute, HotRoute, Target};
use talos_api::verify::refused_code;
use talos_credentials::public_part;
use talos_model::{Principal, Query, Refusal, clock};

use crate::metrics::Route;
use crate::request_context::RequestContext;
use crate::response::Exchange;

/// Notes that a request for the control plane was refused. `principal` is who asked, if they proved
/// it.
#[cold]
pub(crate) fn note_refusal(
    exchange: &Exchange<'_>,
    route: &ControlRoute<'_>,
    context: RequestContext,
    principal: Option<&Arc<Principal>>,
    error: &ApiError,
) {
    let Some(log) = &exchange.core.shared.audit else {
        return;
    };
    log.note(Notice::Request, &mut || Entry {
        principal: principal.cloned(),
        key_ids: route.key_id.parse().any().ok().into_iter().collect(),
        ..entry(
            exchange,
            Event::RequestRefused,
            context,
            Operation {
                target: Target::Control(route.endpoint),
                method: route.method,
                route: route.template,
            },
            Refused {
                status: error.status(),
                reason: error.reason().name(),
            },
        )
    });
}

/// Notes that a credential was refused.
#[cold]
pub(crate) fn note_failure(exchange: &Exchange<'_>, query: &Query<'_>, refusal: Refusal) {
    let Some(log) = &exchange.core.shared.audit else {
        return;
    };
    // These say nothing about the credential.
    if matches!(refusal, Refusal::Internal | Refusal::AnswerTooLarge) {
        return;
    }
    let (hot, method) = match exchange.route {
        Route::BatchVerify => (HotRoute::BatchVerify, "POST"),
        Route::VerifyBearer => (HotRoute::VerifyBearer, "GET"),
        _ => (HotRoute::Verify, "POST"),
    };
    let context = RequestContext {
        client_ip: query.client_ip,
        cache: query.cache,
        now: query.now,
    };
    log.note(Notice::Verification(query.tenant), &mut || {
        let prefixes = exchange.core.shared.engine.macaroon_prefixes();
        Entry {
            tenant: query.tenant,
            credential: Some(public_part(
                query.credential,
                &prefixes,
                CREDENTIAL_START_CHARS,
            )),
            ..entry(
                exchange,
                Event::VerificationFailed,
                context,
                Operation {
                    target: Target::Hot(hot),
                    method,
                    route: hot.template(),
                },
                Refused {
                    status: 200,
                    reason: refused_code(refusal),
                },
            )
        }
    });
}

/// What was asked for.
struct Operation {
    target: Target,
    method: &'static str,
    route: &'static str,
}

/// Why it was refused.
struct Refused {
    status: u16,
    reason: &'static str,
}

fn entry(
    exchange: &Exchange<'_>,
    event: Event,
    context: RequestContext,
    operation: Operation,
    refused: Refused,
) -> Entry {
    Entry {
        event,
        time: clock::now(),
        principal: None,
        client: context.client_ip,
        request_id: audit::request_id(exchange.request_id.bytes()),
        operation: openapi::operation_id(operation.target, operation.method, operation.route),
        method: operation.method,
        route: operation.route,
        tenant: RequestContext::TENANT,
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
