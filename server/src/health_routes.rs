//! The questions about the health of the server, also on connections beyond the bound.

use std::time::Instant;

use talos_api::health;
use talos_api::route::{HotRoute, Resolution, resolve};
use tracing::Level;

use crate::core::Core;
use crate::head_cache::ReadPosition;
use crate::metrics::Route;
use crate::parser::{Parsed, Persistence, header_slots, parse};
use crate::request_log::log_hot;
use crate::response::Exchange;
use crate::step::{Done, Input, Started};

/// Writes whether the process runs and needs no restart.
pub(crate) fn write_alive(exchange: &Exchange<'_>, output: &mut Vec<u8>) {
    match health::alive(exchange.core.shared.engine.needs_restart()) {
        Ok(()) => write_ok(exchange, output),
        Err(error) => exchange.refuse(output, &error),
    }
}

fn write_ok(exchange: &Exchange<'_>, output: &mut Vec<u8>) {
    let mut answer = exchange.answer(output, 200, ReadPosition::NOTHING);
    answer.raw(b"Content-Type: application/json\r\n");
    answer.finish(health::OK);
}

/// Writes whether the process can answer verifications.
pub(crate) fn write_ready(exchange: &Exchange<'_>, output: &mut Vec<u8>) {
    let shared = &exchange.core.shared;
    match health::ready(&shared.engine.health(), &*shared.fleet) {
        Ok(()) => write_ok(exchange, output),
        Err(error) => exchange.refuse(output, &error),
    }
}

/// What a connection beyond the bound has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReservedStep {
    /// Read more of a head.
    NeedHead,
    /// Send the answer and close.
    Answered,
    /// The request does not ask for the health of the server. There is no answer yet.
    NoQuestionOfHealth,
}

impl From<Done> for ReservedStep {
    fn from(_: Done) -> Self {
        Self::Answered
    }
}

/// Answers the first request of `input` if it asks for the health of the server. Its body is not
/// read, because the connection ends.
pub(crate) fn advance_reserved(
    core: &Core,
    input: Input<'_>,
    output: &mut Vec<u8>,
) -> ReservedStep {
    let mut slots = header_slots();
    let head = match parse(input.bytes, &core.live().heads, &mut slots) {
        Parsed::Incomplete => return ReservedStep::NeedHead,
        Parsed::Complete(head) => head,
        Parsed::Reject(reject) => {
            Exchange::malformed(core).refuse(output, &reject.into());
            return ReservedStep::Answered;
        }
    };
    let (route, write): (_, fn(&Exchange<'_>, &mut Vec<u8>)) =
        match resolve(input.port.surface, head.method, head.path) {
            Resolution::Hot(HotRoute::Alive) => (Route::Alive, write_alive),
            Resolution::Hot(HotRoute::Ready) => (Route::Ready, write_ready),
            _ => return ReservedStep::NoQuestionOfHealth,
        };
    let started: Started = tracing::enabled!(Level::DEBUG).then(Instant::now);
    let exchange = Exchange {
        persistence: Persistence::Close,
        ..Exchange::new(core, &head, route)
    };
    let before = output.len();
    write(&exchange, output);
    log_hot(&head, &exchange, output.get(before..), started);
    ReservedStep::Answered
}
