//! Handles one request without I/O: from received bytes to an answer, or to what is missing for
//! one.
//!
//! Guarantees: a request is answered only when all of it has been received; nothing here waits;
//! each step appends at most one answer to the output.

use std::time::Instant;

use talos_api::bearer;
use talos_api::error::ApiError;
use talos_api::route::{HotRoute, Resolution, resolve};
use talos_api::verify::parse_request;
use talos_engine::{Loaded, VerifyStep};
use talos_model::TenantId;
use tracing::Level;

use crate::admission;
use crate::audit;
use crate::authorize::{Caller, NotAllowed, authorize};
use crate::batch::{self, Batch};
use crate::core::Core;
use crate::extent::{Located, Whole, locate};
use crate::handover::{self, Handover};
use crate::head_cache::ReadPosition;
use crate::health_routes;
use crate::metrics::Route;
use crate::parser::{Head, MinPosition, Parsed, Persistence, VERIFY_PATH, header_slots, parse};
use crate::position::{self, Unmet};
use crate::request_context::RequestContext;
use crate::request_log::log_hot;
use crate::response::{self, Exchange};
use crate::step::{Done, Input, MissingBody, Next, PendingVerification, Started};
use crate::tenancy;
use crate::throttled;
use crate::verify::{self, Question};
use crate::wait::Dropped;

/// Refuses the request at the start of `input`. Its head may be incomplete.
pub(crate) fn refuse(core: &Core, input: Input<'_>, error: &ApiError, output: &mut Vec<u8>) {
    let mut slots = header_slots();
    match parse(input.bytes, &core.live().heads, &mut slots) {
        Parsed::Complete(head) => refuse_and_close(core, &head, Route::Malformed, error, output),
        Parsed::Incomplete | Parsed::Reject(_) => Exchange::malformed(core).refuse(output, error),
    }
}

/// Handles the first request of `input` as far as possible.
pub(crate) fn advance(core: &Core, input: Input<'_>, output: &mut Vec<u8>) -> Next {
    if input.bytes.is_empty() {
        return Next::NeedHead;
    }
    let mut slots = header_slots();
    let head = match parse(input.bytes, &core.live().heads, &mut slots) {
        Parsed::Incomplete => return Next::NeedHead,
        Parsed::Complete(head) => head,
        Parsed::Reject(reject) => {
            Exchange::malformed(core).refuse(output, &reject.into());
            return Done::Refused.into();
        }
    };
    let request = match locate(&head, input, &core.live().bodies) {
        Located::Whole(request) => request,
        Located::Missing(missing) => {
            return body_missing(core, &head, missing, input, output);
        }
        Located::TooLarge(limit) => {
            if refuse_unread(core, &head, input, output) {
                return Done::Refused.into();
            }
            let (route, error) = match missing_route(input, &head) {
                Some(error) => (Route::Unknown, error),
                None => (Route::Malformed, ApiError::payload_too_large().limit(limit)),
            };
            refuse_and_close(core, &head, route, &error, output);
            return Done::Refused.into();
        }
    };
    answer(core, &head, request, input, output)
}

/// Asks for the body, unless the principal may not use the route. A client that expects `100
/// Continue` is also refused before it sends a body for a route that does not exist (RFC 9110
/// §10.1.1).
fn body_missing(
    core: &Core,
    head: &Head<'_, '_>,
    missing: MissingBody,
    input: Input<'_>,
    output: &mut Vec<u8>,
) -> Next {
    if missing.send_continue
        && let Some(error) = missing_route(input, head)
    {
        refuse_and_close(core, head, Route::Unknown, &error, output);
        return Done::Refused.into();
    }
    if refuse_unread(core, head, input, output) {
        return Done::Refused.into();
    }
    Next::NeedBody(missing)
}

/// Refuses a request whose principal may not use the route, before its body is read. Returns
/// whether it did.
fn refuse_unread(core: &Core, head: &Head<'_, '_>, input: Input<'_>, output: &mut Vec<u8>) -> bool {
    if core.live().access.is_none() {
        return false;
    }
    let resolution = resolve(input.port.surface, head.method, head.path);
    let tenant = tenancy::tenant(core, head, &resolution, input.remote_ip);
    let judged = tenant.map(|tenant| (tenant, authorize(core, head, &resolution, tenant, input)));
    let (tenant, refused) = match judged {
        Ok((_, Ok(_))) => return false,
        Ok((tenant, Err(refused))) => (tenant, refused),
        Err(error) => (TenantId::SINGLE, error.into()),
    };
    let exchange = Exchange {
        persistence: Persistence::Close,
        ..Exchange::new(core, head, counted(&resolution))
    };
    let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
    not_admitted(&exchange, &resolution, context, &refused, output);
    true
}

/// The error for a path or a method that no route of the surface has.
fn missing_route(input: Input<'_>, head: &Head<'_, '_>) -> Option<ApiError> {
    match resolve(input.port.surface, head.method, head.path) {
        Resolution::Hot(_) | Resolution::Control(_) => None,
        Resolution::NotFound => Some(ApiError::not_found_route()),
        Resolution::MethodNotAllowed(allow) => Some(ApiError::method_not_allowed(allow)),
    }
}

fn refuse_and_close(
    core: &Core,
    head: &Head<'_, '_>,
    route: Route,
    error: &ApiError,
    output: &mut Vec<u8>,
) {
    let exchange = Exchange {
        persistence: Persistence::Close,
        ..Exchange::new(core, head, route)
    };
    exchange.refuse(output, error);
}

fn answer(
    core: &Core,
    head: &Head<'_, '_>,
    request: Whole<'_>,
    input: Input<'_>,
    output: &mut Vec<u8>,
) -> Next {
    // The check costs one load. The clock is read only if the log line will be written.
    let started: Started = tracing::enabled!(Level::DEBUG).then(Instant::now);
    if let Some(cors) = &core.live().cors {
        if let Some(origin) = preflight_of(head) {
            let exchange = Exchange::new(core, head, Route::Preflight);
            let headers = head.only("access-control-request-headers");
            let mut answer = exchange.answer(output, 204, ReadPosition::NOTHING);
            answer.raw_with(|output| {
                cors.write_preflight(exchange.audience, origin, headers, output);
            });
            answer.finish(b"");
            return answered(&exchange, request);
        }
        cors.log(response::audience(core, head), head.origin);
    }
    let surface = input.port.surface;
    let is_first = head.path == VERIFY_PATH && head.method == "POST" && surface.verifies();
    let resolution = if is_first {
        Resolution::Hot(HotRoute::Verify)
    } else {
        resolve(surface, head.method, head.path)
    };
    let route = counted(&resolution);
    let exchange = Exchange::new(core, head, route);
    let before = output.len();
    let tenant = match tenancy::tenant(core, head, &resolution, input.remote_ip) {
        Ok(tenant) => tenant,
        Err(error) => {
            exchange.refuse(output, &error);
            log_hot(head, &exchange, output.get(before..), started);
            return answered(&exchange, request);
        }
    };
    let caller = match admit(core, head, &resolution, tenant, input) {
        Ok(caller) => caller,
        Err(refused) => {
            let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
            not_admitted(&exchange, &resolution, context, &refused, output);
            return answered(&exchange, request);
        }
    };
    if let Some(throttle) = &core.live().throttle
        && let Some(error) =
            throttled::check(throttle, core, &resolution, caller.as_deref(), head, input)
    {
        exchange.refuse(output, &error);
        log_hot(head, &exchange, output.get(before..), started);
        return answered(&exchange, request);
    }
    // What does not exist needs no position, and nobody waits for it.
    if head.min_position != MinPosition::None
        && matches!(resolution, Resolution::Hot(_) | Resolution::Control(_))
        && let Some(next) = unmet_position(&exchange, head, request, input, started, output)
    {
        return next;
    }
    match resolution {
        Resolution::Hot(HotRoute::BatchVerify) => {
            let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
            if let Some(batch) = batch::verify(&exchange, request.body, context, output) {
                return Next::AwaitBatch(batch, started);
            }
        }
        Resolution::Hot(HotRoute::Verify | HotRoute::VerifyBearer) => {
            let question = question(route, head, request.body);
            let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
            if let VerifyStep::Pending(pending) =
                verify::verify(&exchange, question, context, output)
            {
                let loaded = verify::read(&exchange, pending);
                return Next::AwaitRead(loaded, PendingVerification { route, started });
            }
        }
        Resolution::Hot(HotRoute::Alive) => health_routes::write_alive(&exchange, output),
        Resolution::Hot(HotRoute::Ready) => health_routes::write_ready(&exchange, output),
        Resolution::Control(route) => {
            let handover = Handover {
                head,
                tenant,
                tenant_of_host: tenancy::tenant_of_host(core, head, input.remote_ip),
                host: tenancy::host(core, head, input.remote_ip),
                route,
                body: request.body,
                caller: caller.unwrap_or_default(),
                client_ip: RequestContext::new(core, head, tenant, input.remote_ip, input.now)
                    .client_ip,
                consumed: request.consumed,
            };
            if let Ok((reply, pending)) = handover::submit(&exchange, handover) {
                return Next::AwaitControl(reply, pending);
            }
            core.metrics.overloads.increment();
            let error = ApiError::service_unavailable("too many requests are waiting; try again");
            exchange.refuse(output, &error);
        }
        Resolution::NotFound => exchange.refuse(output, &ApiError::not_found_route()),
        Resolution::MethodNotAllowed(allow) => {
            exchange.refuse(output, &ApiError::method_not_allowed(allow));
        }
    }
    log_hot(head, &exchange, output.get(before..), started);
    answered(&exchange, request)
}

/// Waits for the position that a request demands, or refuses the request; `None` when the node has
/// reached the position.
#[cold]
fn unmet_position(
    exchange: &Exchange<'_>,
    head: &Head<'_, '_>,
    request: Whole<'_>,
    input: Input<'_>,
    started: Started,
    output: &mut Vec<u8>,
) -> Option<Next> {
    let before = output.len();
    match position::check(exchange.core, head.min_position, input.reached)? {
        Unmet::Wait(reaching) => return Some(Next::AwaitPosition(reaching)),
        Unmet::Refused(error) => exchange.refuse(output, &error),
    }
    log_hot(head, exchange, output.get(before..), started);
    Some(answered(exchange, request))
}

/// Refuses a request whose principal may not use the route, and one that may come from a page of
/// another site.
#[inline]
fn admit(
    core: &Core,
    head: &Head<'_, '_>,
    resolution: &Resolution<'_>,
    tenant: TenantId,
    input: Input<'_>,
) -> Result<Option<Box<Caller>>, NotAllowed> {
    let caller = authorize(core, head, resolution, tenant, input)?;
    if let (Resolution::Control(route), Some(caller)) = (resolution, &caller) {
        admission::check(core, head, route, caller, input).map_err(|error| NotAllowed {
            error,
            principal: caller.principal.clone(),
        })?;
    }
    Ok(caller)
}

/// Answers, notes and logs a request that was not admitted. The line of a hot route has the level
/// of its other lines, so that a flood of refused verifications does not flood the log.
#[cold]
fn not_admitted(
    exchange: &Exchange<'_>,
    resolution: &Resolution<'_>,
    context: RequestContext,
    refused: &NotAllowed,
    output: &mut Vec<u8>,
) {
    let NotAllowed { error, principal } = refused;
    audit::note_refusal(exchange, resolution, context, principal.as_ref(), error);
    exchange.refuse(output, error);
    let request_id = String::from_utf8_lossy(exchange.request_id.bytes());
    if let Resolution::Control(route) = resolution {
        tracing::info!(
            method = route.method,
            route = route.template,
            status = error.status(),
            %request_id,
            "request"
        );
    } else {
        tracing::debug!(
            route = exchange.route.name(),
            status = error.status(),
            %request_id,
            "request"
        );
    }
}

/// The route that the answer is counted under.
fn counted(resolution: &Resolution<'_>) -> Route {
    match resolution {
        Resolution::Hot(HotRoute::Verify) => Route::Verify,
        Resolution::Hot(HotRoute::BatchVerify) => Route::BatchVerify,
        Resolution::Hot(HotRoute::VerifyBearer) => Route::VerifyBearer,
        Resolution::Hot(HotRoute::Alive) => Route::Alive,
        Resolution::Hot(HotRoute::Ready) => Route::Ready,
        Resolution::Control(_) => Route::Control,
        Resolution::NotFound | Resolution::MethodNotAllowed(_) => Route::Unknown,
    }
}

fn answered(exchange: &Exchange<'_>, request: Whole<'_>) -> Next {
    Next::Done(Done::Answered {
        consumed: request.consumed,
        persistence: exchange.persistence,
    })
}

/// Returns the origin if `head` is a preflight (the Fetch Standard §3.2.2).
fn preflight_of<'a>(head: &Head<'_, 'a>) -> Option<&'a [u8]> {
    let is_asked = head.method == "OPTIONS" && head.only("access-control-request-method").is_some();
    head.origin.filter(|_| is_asked)
}

/// Reads the credential to verify: from the head on the bearer route, else from the body.
fn question<'a>(route: Route, head: &Head<'_, 'a>, body: &'a [u8]) -> Question<'a> {
    if route == Route::VerifyBearer {
        return bearer::parse_request(head.only("authorization"), body);
    }
    parse_request(body)
}

/// Writes the answer to the verification at the start of `input`, for which the engine has read a
/// record.
pub(crate) fn finish_read(
    core: &Core,
    input: Input<'_>,
    pending: PendingVerification,
    loaded: Result<Loaded, Dropped>,
    output: &mut Vec<u8>,
) -> Done {
    again(
        core,
        input,
        pending.route,
        output,
        |head, exchange, tenant, body, output| {
            let before = output.len();
            let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
            let question = question(pending.route, head, body);
            match loaded {
                Ok(loaded) => verify::finish(exchange, question, context, loaded, output),
                Err(_) => exchange.refuse(output, &ApiError::internal()),
            }
            log_hot(head, exchange, output.get(before..), pending.started);
        },
    )
}

/// Writes the answer to the batch at the start of `input`, for which the engine has read the
/// records.
pub(crate) fn finish_batch(
    core: &Core,
    input: Input<'_>,
    started: Started,
    batch: Batch,
    output: &mut Vec<u8>,
) -> Done {
    again(
        core,
        input,
        Route::BatchVerify,
        output,
        |head, exchange, tenant, body, output| {
            let before = output.len();
            let context = RequestContext::new(core, head, tenant, input.remote_ip, input.now);
            batch::finish(exchange, body, context, batch, output);
            log_hot(head, exchange, output.get(before..), started);
        },
    )
}

/// Parses the first request of `input` again, after a wait during which nothing was read. A
/// verification borrows from the input, so parsing it again is cheaper than copying it for the
/// wait.
fn again(
    core: &Core,
    input: Input<'_>,
    route: Route,
    output: &mut Vec<u8>,
    answer: impl FnOnce(&Head<'_, '_>, &Exchange<'_>, TenantId, &[u8], &mut Vec<u8>),
) -> Done {
    let mut slots = header_slots();
    if let Parsed::Complete(head) = parse(input.bytes, &core.live().heads, &mut slots)
        && let Located::Whole(request) = locate(&head, input, &core.live().bodies)
    {
        let exchange = Exchange::new(core, &head, route);
        let resolution = Resolution::Hot(HotRoute::Verify);
        match tenancy::tenant(core, &head, &resolution, input.remote_ip) {
            Ok(tenant) => answer(&head, &exchange, tenant, request.body, output),
            // The tenant was removed during the wait.
            Err(error) => exchange.refuse(output, &error),
        }
        return Done::Answered {
            consumed: request.consumed,
            persistence: exchange.persistence,
        };
    }
    // Cannot happen: the same bytes were a complete request before the wait.
    Exchange::malformed(core).refuse(output, &ApiError::internal());
    Done::Refused
}
