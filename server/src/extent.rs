//! Finds where a request ends, and whether it is complete.

use talos_api::route::{ControlRoute, Endpoint, HotRoute, Resolution, resolve};

use crate::limits::{self, BodyLimits};
use crate::parser::{BodyLength, Head};
use crate::step::{Input, MissingBody};

/// The body of a complete request.
#[derive(Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// The body, without its transfer coding.
    pub body: &'a [u8],
    /// Bytes of the input that the request uses.
    pub consumed: usize,
}

/// Where the body of a request is.
pub(crate) enum Located<'a> {
    /// It has arrived.
    Whole(Whole<'a>),
    /// It has not arrived completely.
    Missing(MissingBody),
    /// It is longer than this route accepts, in bytes.
    TooLarge(usize),
}

/// The largest body that a route accepts, in bytes.
fn limit_of(route: Resolution<'_>, bodies: &BodyLimits) -> usize {
    match route {
        Resolution::Control(ControlRoute {
            endpoint: Endpoint::ImportKeys,
            ..
        }) => bodies.batch,
        Resolution::Control(_)
        | Resolution::Hot(HotRoute::Verify | HotRoute::BatchVerify | HotRoute::VerifyBearer) => {
            bodies.bytes
        }
        Resolution::Hot(HotRoute::Alive | HotRoute::Ready)
        | Resolution::NotFound
        | Resolution::MethodNotAllowed(_) => limits::UNKNOWN_BODY_BYTES,
    }
}

/// Finds the body of `head` in `input`. The surface of the connection's port decides which routes
/// exist, and so how long a body may be.
pub(crate) fn locate<'a>(
    head: &Head<'_, '_>,
    input: Input<'a>,
    bodies: &BodyLimits,
) -> Located<'a> {
    let limit = || limit_of(resolve(input.port.surface, head.method, head.path), bodies);
    let missing = |limit| {
        Located::Missing(MissingBody {
            head: head.len,
            length: head.body,
            limit,
            send_continue: head.expects_continue && input.bytes.len() == head.len,
        })
    };
    match (head.body, input.decoded) {
        (BodyLength::Chunked, None) => missing(limit()),
        (BodyLength::Chunked, Some(body)) => Located::Whole(Whole {
            body,
            consumed: head.len,
        }),
        (BodyLength::Known(length), _) => {
            // Every route accepts a short body, so that most requests need no route here.
            let Some(length) = usize::try_from(length)
                .ok()
                .filter(|length| *length <= limits::UNKNOWN_BODY_BYTES || *length <= limit())
            else {
                return Located::TooLarge(limit());
            };
            let consumed = head.len + length;
            input.bytes.get(head.len..consumed).map_or_else(
                || missing(length),
                |body| Located::Whole(Whole { body, consumed }),
            )
        }
    }
}
