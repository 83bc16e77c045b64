//! One step of a connection without I/O: from received bytes to an answer, or to what is missing for one.
//!
//! Guarantees: a request is answered only when all of it has been received; nothing here waits; each step appends at most
//! one answer to the output.

use std::net::IpAddr;
use std::time::Instant;

use talos_api::control::ControlResponse;
use talos_api::error::ApiError;
use talos_api::route::{HotRoute, Match, Resolution, Surface, find, resolve};
use talos_api::verify::parse_request;
use talos_api::{bearer, health};
use talos_engine::clock::UnixMillis;
use talos_engine::{Loaded, Step};
use tokio::sync::oneshot;
use tracing::Level;

use crate::batch::{self, Batch};
use crate::client_address::client_address;
use crate::core::Core;
use crate::extent::{Located, Whole, locate};
use crate::handover::{self, Dropped, Finished};
use crate::metrics::Route;
use crate::parser::{
    BodyLength, Head, MinPosition, Parsed, Persistence, VERIFY_PATH, header_slots, parse,
};
use crate::position::{self, Basis, Reached, Unmet};
use crate::response::{Exchange, RequestId};
use crate::verify::{self, Circumstances, Question};

/// What is known of the bytes that follow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// Received and not yet answered, from the first byte of a head.
    pub bytes: &'a [u8],
    /// The body, when it came in chunks and is complete; `bytes` then holds the head and what follows the body.
    pub decoded: Option<&'a [u8]>,
    /// What came of waiting for the position that the first request demands, if it has waited.
    pub reached: Option<&'a Result<Reached, Dropped>>,
    /// The address of the connection's other end.
    pub remote_ip: Option<IpAddr>,
    /// The time of the request.
    pub now: UnixMillis,
}

/// What is to be done next.
pub(crate) enum Next {
    /// Read more of a head.
    NeedHead,
    /// Read a body.
    NeedBody(MissingBody),
    /// An answer is there.
    Done(Done),
    /// Wait for the position that the request demands, then [`advance`] again.
    Reach(oneshot::Receiver<Reached>),
    /// Wait for the control plane, then [`finish_control`].
    Control(oneshot::Receiver<ControlResponse>, Asked),
    /// Wait for the disk, then [`finish_read`].
    Read(oneshot::Receiver<Loaded>, (Route, Started)),
    /// Wait for all reads of the batch, then [`finish_batch`].
    ReadMany(Batch, Started),
}

/// How an answer came about, and so how the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The whole request was read.
    Answered {
        /// Bytes of the input that belonged to it.
        consumed: usize,
        /// What becomes of the connection.
        persistence: Persistence,
    },
    /// The request was not read to its end: send the answer and close.
    Refused,
}

impl From<Done> for Next {
    fn from(done: Done) -> Self {
        Self::Done(done)
    }
}

/// A body that has not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingBody {
    /// Bytes of the head.
    pub head: usize,
    /// How long the body is.
    pub length: BodyLength,
    /// The largest body that is accepted here, in bytes.
    pub limit: usize,
    /// Whether the client waits for `100 Continue`: it asked to, and none of the body is there.
    pub send_continue: bool,
}

/// Refuses the request at the start of `input`, of which perhaps not even the head is there.
pub(crate) fn refuse(core: &Core, input: Input<'_>, error: &ApiError, output: &mut Vec<u8>) {
    let mut slots = header_slots();
    match parse(input.bytes, &mut slots) {
        Parsed::Complete(head) => refuse_and_close(core, &head, Route::Malformed, error, output),
        Parsed::Incomplete | Parsed::Reject(_) => Exchange::malformed(core).refuse(output, error),
    }
}

/// What must outlast the wait for the control plane, which knows the request under this id.
pub(crate) struct Asked {
    started: Instant,
    request_id: Vec<u8>,
}

/// When a hot request was begun, if somebody wants to know.
pub(crate) type Started = Option<Instant>;

/// Looks at the first request of `input` and does what can be done.
pub(crate) fn advance(core: &Core, input: Input<'_>, output: &mut Vec<u8>) -> Next {
    if input.bytes.is_empty() {
        return Next::NeedHead;
    }
    let mut slots = header_slots();
    let head = match parse(input.bytes, &mut slots) {
        Parsed::Incomplete => return Next::NeedHead,
        Parsed::Complete(head) => head,
        Parsed::Reject(reject) => {
            Exchange::malformed(core).refuse(output, &reject.into());
            return Done::Refused.into();
        }
    };
    let request = match locate(&head, input) {
        Located::Whole(request) => request,
        Located::Missing(missing) => return body_missing(core, &head, missing, output),
        Located::TooLarge => {
            refuse_and_close(
                core,
                &head,
                Route::Malformed,
                &ApiError::payload_too_large(),
                output,
            );
            return Done::Refused.into();
        }
    };
    answer(core, &head, request, input, output)
}

/// Before a client is told to send a body, a request that has no prospect is refused (RFC 9110 §10.1.1).
fn body_missing(
    core: &Core,
    head: &Head<'_, '_>,
    missing: MissingBody,
    output: &mut Vec<u8>,
) -> Next {
    if missing.send_continue {
        let error = match resolve(core.shared.surface, head.method, head.path) {
            Resolution::Hot(_) | Resolution::Control => return Next::NeedBody(missing),
            Resolution::NotFound => ApiError::not_found_route(),
            Resolution::MethodNotAllowed(allow) => ApiError::method_not_allowed(allow),
        };
        refuse_and_close(core, head, Route::Unknown, &error, output);
        return Done::Refused.into();
    }
    Next::NeedBody(missing)
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
    // Asking costs one load; the clock is read only if somebody wants to know.
    let started: Started = tracing::enabled!(Level::DEBUG).then(Instant::now);
    if let Some(cors) = &core.shared.cors {
        if let Some(origin) = preflight_of(head) {
            let exchange = Exchange::new(core, head, Route::Preflight);
            let headers = head.only("access-control-request-headers");
            let mut answer = exchange.answer(output, 204, Basis::NOTHING);
            answer.raw_with(|output| cors.write_preflight(origin, headers, output));
            answer.finish(b"");
            return Done::Answered {
                consumed: request.consumed,
                persistence: exchange.persistence,
            }
            .into();
        }
        cors.log(head.origin);
    }
    let surface = core.shared.surface;
    let is_first = head.path == VERIFY_PATH && head.method == "POST" && surface != Surface::Public;
    let resolution = if is_first {
        Resolution::Hot(HotRoute::Verify)
    } else {
        resolve(surface, head.method, head.path)
    };
    let route = match resolution {
        Resolution::Hot(HotRoute::Verify) => Route::Verify,
        Resolution::Hot(HotRoute::BatchVerify) => Route::BatchVerify,
        Resolution::Hot(HotRoute::VerifyBearer) => Route::VerifyBearer,
        Resolution::Hot(HotRoute::Alive) => Route::Alive,
        Resolution::Hot(HotRoute::Ready) => Route::Ready,
        Resolution::Control => Route::Control,
        Resolution::NotFound | Resolution::MethodNotAllowed(_) => Route::Unknown,
    };
    let exchange = Exchange::new(core, head, route);
    let before = output.len();
    if head.min_position != MinPosition::None
        && let Some(next) = hold(&exchange, (head, request, input), started, output)
    {
        return next;
    }
    match resolution {
        Resolution::Hot(HotRoute::BatchVerify) => {
            let circumstances = circumstances(core, head, input);
            if let Some(batch) = batch::verify(&exchange, request.body, circumstances, output) {
                return Next::ReadMany(batch, started);
            }
        }
        Resolution::Hot(HotRoute::Verify | HotRoute::VerifyBearer) => {
            let asked = question(route, head, request.body);
            let circumstances = circumstances(core, head, input);
            if let Step::Pending(pending) = verify::verify(&exchange, asked, circumstances, output)
            {
                return Next::Read(verify::read(&exchange, pending), (route, started));
            }
        }
        Resolution::Hot(HotRoute::Alive) => write_health(&exchange, output),
        Resolution::Hot(HotRoute::Ready) => {
            match health::ready(&core.shared.engine.health(), &*core.shared.fleet) {
                Ok(()) => write_health(&exchange, output),
                Err(error) => exchange.refuse(output, &error),
            }
        }
        Resolution::Control => {
            let asked = Asked {
                started: Instant::now(),
                request_id: exchange.request_id.bytes().to_vec(),
            };
            let id = exchange.request_id;
            let client_ip = client_ip(core, head, input);
            if let Ok(reply) = handover::submit(core, head, request.body, client_ip, id) {
                return Next::Control(reply, asked);
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
    Done::Answered {
        consumed: request.consumed,
        persistence: exchange.persistence,
    }
    .into()
}

/// Waits for the position that a request demands, or refuses it; `None` when the position is there.
#[cold]
fn hold(
    exchange: &Exchange<'_>,
    (head, request, input): (&Head<'_, '_>, Whole<'_>, Input<'_>),
    started: Started,
    output: &mut Vec<u8>,
) -> Option<Next> {
    let before = output.len();
    match position::meet(exchange.core, head.min_position, input.reached)? {
        Unmet::Wait(reaching) => return Some(Next::Reach(reaching)),
        Unmet::Refused(error) => exchange.refuse(output, &error),
    }
    log_hot(head, exchange, output.get(before..), started);
    let persistence = exchange.persistence;
    let done = Done::Answered {
        consumed: request.consumed,
        persistence,
    };
    Some(done.into())
}

/// The origin of a preflight (the Fetch Standard §3.2.2), if `head` is one.
fn preflight_of<'a>(head: &Head<'_, 'a>) -> Option<&'a [u8]> {
    let is_asked = head.method == "OPTIONS" && head.only("access-control-request-method").is_some();
    head.origin.filter(|_| is_asked)
}

/// Reads what is to be verified: from the body, or from the head on the route that takes a bearer credential.
fn question<'a>(route: Route, head: &Head<'_, 'a>, body: &'a [u8]) -> Question<'a> {
    if route == Route::VerifyBearer {
        return bearer::parse_request(head.only("authorization"), body);
    }
    parse_request(body)
}

fn write_health(exchange: &Exchange<'_>, output: &mut Vec<u8>) {
    let mut answer = exchange.answer(output, 200, Basis::NOTHING);
    answer.raw(b"Content-Type: application/json\r\n");
    answer.finish(health::OK);
}

/// Writes the control plane's answer to the first request of `input`.
pub(crate) fn finish_control(
    core: &Core,
    input: Input<'_>,
    asked: &Asked,
    response: Result<ControlResponse, Dropped>,
    output: &mut Vec<u8>,
) -> Finished {
    let response = response.unwrap_or_else(|_| ApiError::internal().into());
    let mut following = None;
    let done = again(
        core,
        input,
        Route::Control,
        output,
        |head, exchange, _body, output| {
            let exchange = Exchange {
                request_id: RequestId::Echoed(&asked.request_id),
                ..*exchange
            };
            let status = response.status;
            following = handover::answer(&exchange, head.version.into(), response, output);
            let template = match find(head.method, head.path) {
                Match::Found { template, .. } => template,
                Match::NotFound | Match::MethodNotAllowed(_) => exchange.route.name(),
            };
            tracing::info!(
                method = head.method,
                route = template,
                status,
                duration_us = micros(asked.started),
                request_id = %String::from_utf8_lossy(exchange.request_id.bytes()),
                "request"
            );
        },
    );
    Finished::new(done, following)
}

/// Writes the answer to the verification at the start of `input`, for which a record was read. It came by `route`.
pub(crate) fn finish_read(
    core: &Core,
    input: Input<'_>,
    (route, started): (Route, Started),
    loaded: Result<Loaded, Dropped>,
    output: &mut Vec<u8>,
) -> Done {
    again(
        core,
        input,
        route,
        output,
        |head, exchange, body, output| {
            let before = output.len();
            let circumstances = circumstances(core, head, input);
            let asked = question(route, head, body);
            match loaded {
                Ok(loaded) => verify::finish(exchange, asked, circumstances, loaded, output),
                Err(_) => exchange.refuse(output, &ApiError::internal()),
            }
            log_hot(head, exchange, output.get(before..), started);
        },
    )
}

/// Writes the answer to the batch at the start of `input`, whose records were read.
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
        |head, exchange, body, output| {
            let before = output.len();
            let circumstances = circumstances(core, head, input);
            batch::finish(exchange, body, circumstances, batch, output);
            log_hot(head, exchange, output.get(before..), started);
        },
    )
}

fn client_ip(core: &Core, head: &Head<'_, '_>, input: Input<'_>) -> Option<IpAddr> {
    let source = core.shared.client_ip_source;
    client_address(source, input.remote_ip, head.fields)
}

fn circumstances(core: &Core, head: &Head<'_, '_>, input: Input<'_>) -> Circumstances {
    Circumstances {
        client_ip: client_ip(core, head, input),
        cache: head.cache,
        now: input.now,
    }
}

/// Reads the first request of `input` once more, after a wait during which nothing was read: parsing it again is cheaper
/// than keeping it.
fn again(
    core: &Core,
    input: Input<'_>,
    route: Route,
    output: &mut Vec<u8>,
    answer: impl FnOnce(&Head<'_, '_>, &Exchange<'_>, &[u8], &mut Vec<u8>),
) -> Done {
    let mut slots = header_slots();
    if let Parsed::Complete(head) = parse(input.bytes, &mut slots)
        && let Located::Whole(request) = locate(&head, input)
    {
        let exchange = Exchange::new(core, &head, route);
        answer(&head, &exchange, request.body, output);
        return Done::Answered {
            consumed: request.consumed,
            persistence: exchange.persistence,
        };
    }
    // The same bytes were a whole request before the wait.
    Exchange::malformed(core).refuse(output, &ApiError::internal());
    Done::Refused
}

/// Logs a request to a hot route, whose `answer` tells its own status.
fn log_hot(head: &Head<'_, '_>, exchange: &Exchange<'_>, answer: Option<&[u8]>, started: Started) {
    let Some(started) = started else { return };
    let is_health = matches!(exchange.route, Route::Alive | Route::Ready);
    if is_health && !exchange.core.shared.log_health_requests {
        return;
    }
    let status = answer
        .and_then(|answer| answer.get(9..12))
        .unwrap_or_default();
    tracing::debug!(
        method = head.method,
        route = exchange.route.name(),
        status = %String::from_utf8_lossy(status),
        duration_us = micros(started),
        request_id = %String::from_utf8_lossy(exchange.request_id.bytes()),
        "request"
    );
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}
