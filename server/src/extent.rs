//! Where a request ends, and whether all of it is there.

use crate::dispatch::{Input, MissingBody};
use crate::limits;
use crate::parser::{BodyLength, Head};

/// A request of which everything is there.
#[derive(Clone, Copy)]
pub(crate) struct Whole<'a> {
    /// The body, without what carried it.
    pub body: &'a [u8],
    /// Bytes of the input that belong to the request.
    pub consumed: usize,
}

/// Where the body of a request is.
pub(crate) enum Located<'a> {
    /// There.
    Whole(Whole<'a>),
    /// On its way.
    Missing(MissingBody),
    /// Longer than is accepted here.
    TooLarge,
}

/// Finds the body of `head` in `input`.
pub(crate) fn locate<'a>(head: &Head<'_, '_>, input: Input<'a>) -> Located<'a> {
    let limit = || {
        if limits::BATCH_PATHS.contains(&head.path) {
            limits::BATCH_BODY_BYTES
        } else {
            limits::BODY_BYTES
        }
    };
    let missing = || {
        Located::Missing(MissingBody {
            head: head.len,
            length: head.body,
            limit: limit(),
            send_continue: head.expects_continue && input.bytes.len() == head.len,
        })
    };
    match (head.body, input.decoded) {
        (BodyLength::Chunked, None) => missing(),
        (BodyLength::Chunked, Some(body)) => Located::Whole(Whole {
            body,
            consumed: head.len,
        }),
        (BodyLength::Known(length), _) => {
            let Some(length) = usize::try_from(length)
                .ok()
                .filter(|length| *length <= limit())
            else {
                return Located::TooLarge;
            };
            let consumed = head.len + length;
            input
                .bytes
                .get(head.len..consumed)
                .map_or_else(missing, |body| Located::Whole(Whole { body, consumed }))
        }
    }
}
