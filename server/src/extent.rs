//! Finds where a request ends, and whether it is complete.

use talos_api::route::BATCH_IMPORT_PATHS;

use crate::limits;
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
    /// It is longer than this route accepts.
    TooLarge,
}

/// Finds the body of `head` in `input`.
pub(crate) fn locate<'a>(head: &Head<'_, '_>, input: Input<'a>) -> Located<'a> {
    let limit = || {
        if BATCH_IMPORT_PATHS.contains(&head.path) {
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
