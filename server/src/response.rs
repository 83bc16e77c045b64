//! Writes answers: status line, the fields that every answer has, body.
//!
//! Guarantees: an answer is appended as a whole; `Content-Length` is the length of the body; no
//! field value can end its line.

use talos_api::error::ApiError;
use talos_api::route::may_allow_every_origin;

use crate::core::Core;
use crate::cors::Audience;
use crate::framing::Framing;
use crate::head_cache::ReadPosition;
use crate::metrics::Route;
use crate::parser::{Head, Persistence};
use crate::request_id::RequestId;

/// An answer that tells a client to send its body (RFC 9110 §15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The properties of a request that its answer depends on.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// The core that answers.
    pub core: &'a Core,
    /// The route that the answer is counted under.
    pub route: Route,
    /// Whether the connection stays open.
    pub persistence: Persistence,
    /// Whether the body is sent. It is not in answers to HEAD.
    pub body: BodyPart,
    /// The id of the request.
    pub request_id: RequestId<'a>,
    /// The `Origin` field: a browser sends the origin of the page.
    pub origin: Option<&'a [u8]>,
    /// Whose pages may be allowed to read the answer.
    pub audience: Audience,
}

/// Whether an answer's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyPart {
    /// The body is sent.
    Sent,
    /// Only its length is sent (RFC 9110 §9.3.2).
    Omitted,
    /// Neither body nor length is sent (RFC 9110 §8.6).
    Absent,
}

impl BodyPart {
    /// The part for an answer to `method`.
    pub(crate) fn of(method: &str) -> Self {
        if method == "HEAD" {
            Self::Omitted
        } else {
            Self::Sent
        }
    }
}

impl<'a> Exchange<'a> {
    /// The exchange for the request with this head.
    pub(crate) fn new(core: &'a Core, head: &Head<'_, 'a>, route: Route) -> Self {
        let persistence = if core.is_draining() {
            Persistence::Close
        } else {
            head.persistence
        };
        let request_id = head.request_id.map_or_else(
            || RequestId::Made(core.request_ids.make()),
            RequestId::Echoed,
        );
        Self {
            core,
            route,
            persistence,
            body: BodyPart::of(head.method),
            request_id,
            origin: head.origin,
            audience: audience(core, head),
        }
    }

    /// The exchange for bytes that are no valid request.
    pub(crate) fn malformed(core: &'a Core) -> Self {
        Self {
            core,
            route: Route::Malformed,
            persistence: Persistence::Close,
            body: BodyPart::Sent,
            request_id: RequestId::Made(core.request_ids.make()),
            origin: None,
            audience: Audience::Listed,
        }
    }

    /// Begins an answer in `output`. The answer must have been computed before this call; `read`
    /// says which changes it is based on.
    pub(crate) fn answer<'o>(
        &self,
        output: &'o mut Vec<u8>,
        status: u16,
        read: ReadPosition,
    ) -> Answer<'o> {
        let core = self.core;
        core.metrics.requests.count(self.route, status);
        output.extend_from_slice(b"HTTP/1.1 ");
        output.extend_from_slice(status_text(status).as_bytes());
        let mut heads = core.heads.borrow_mut();
        output.extend_from_slice(heads.bytes(read, &core.shared.engine));
        output.extend_from_slice(self.request_id.bytes());
        output.extend_from_slice(match self.persistence {
            Persistence::Keep => b"\r\n",
            Persistence::KeepAndSay => b"\r\nConnection: keep-alive\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n",
        });
        if let Some(cors) = &self.core.live().cors {
            cors.write(self.audience, self.origin, output);
        }
        Answer {
            output,
            body: if matches!(status, 204 | 304) {
                BodyPart::Absent
            } else {
                self.body
            },
        }
    }

    /// Writes the whole answer for an error.
    pub(crate) fn refuse(&self, output: &mut Vec<u8>, error: &ApiError) {
        let mut answer = self.answer(output, error.status(), ReadPosition::NOTHING);
        for (name, value) in error.headers() {
            answer.field(name, &value);
        }
        answer.finish(&error.to_body());
    }
}

/// Whose pages may be allowed to read the answer to `head`. Without rules for other origins nothing
/// depends on it.
pub(crate) fn audience(core: &Core, head: &Head<'_, '_>) -> Audience {
    if core.live().cors.is_some() && may_allow_every_origin(head.path) {
        Audience::Everybody
    } else {
        Audience::Listed
    }
}

/// An answer whose fields are being written.
pub(crate) struct Answer<'o> {
    output: &'o mut Vec<u8>,
    body: BodyPart,
}

impl Answer<'_> {
    /// Adds a field. Leaves it out and logs an error when its value contains a control character.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        if value
            .bytes()
            .any(|byte| byte.is_ascii_control() && byte != b'\t')
        {
            tracing::error!(
                name,
                "a response field with a control character was left out"
            );
            return;
        }
        self.raw(name.as_bytes());
        self.raw(b": ");
        self.raw(value.as_bytes());
        self.raw(b"\r\n");
    }

    /// Adds prepared bytes: whole lines, or parts of one.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Adds whole lines that `write` writes.
    pub(crate) fn raw_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.output);
    }

    /// Adds a number in decimal.
    pub(crate) fn decimal(&mut self, number: u64) {
        write_decimal(self.output, number);
    }

    /// Ends the head and adds the body.
    pub(crate) fn finish(self, body: &[u8]) {
        self.finish_in_parts(&[body]);
    }

    /// Ends the head of a streamed answer and adds the beginning of its body.
    pub(crate) fn finish_open(mut self, framing: Framing, begun: &[u8]) {
        self.raw(framing.field());
        self.raw(b"\r\n");
        if self.body == BodyPart::Sent {
            framing.append(begun, self.output);
        }
    }

    /// Ends the head and adds a body that consists of several parts.
    pub(crate) fn finish_in_parts(mut self, parts: &[&[u8]]) {
        if self.body != BodyPart::Absent {
            self.raw(b"Content-Length: ");
            self.decimal(parts.iter().map(|part| part.len() as u64).sum());
            self.raw(b"\r\n");
        }
        self.raw(b"\r\n");
        if self.body == BodyPart::Sent {
            for part in parts {
                self.raw(part);
            }
        }
    }
}

fn write_decimal(output: &mut Vec<u8>, mut number: u64) {
    // 20 digits hold any 64-bit number.
    let mut digits = [b'0'; 20];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    output.extend(digits.iter().skip(digits.len() - used));
}

/// Status code and reason phrase. A status that is not listed is sent as 500.
const fn status_text(status: u16) -> &'static str {
    match status {
        200 => "200 OK",
        201 => "201 Created",
        202 => "202 Accepted",
        204 => "204 No Content",
        304 => "304 Not Modified",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        402 => "402 Payment Required",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Method Not Allowed",
        408 => "408 Request Timeout",
        409 => "409 Conflict",
        410 => "410 Gone",
        413 => "413 Content Too Large",
        414 => "414 URI Too Long",
        415 => "415 Unsupported Media Type",
        417 => "417 Expectation Failed",
        429 => "429 Too Many Requests",
        431 => "431 Request Header Fields Too Large",
        501 => "501 Not Implemented",
        502 => "502 Bad Gateway",
        503 => "503 Service Unavailable",
        504 => "504 Gateway Timeout",
        505 => "505 HTTP Version Not Supported",
        _ => "500 Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 1_048_576, u64::MAX - 1, u64::MAX] {
            let mut output = b"x".to_vec();
            write_decimal(&mut output, number);
            assert_eq!(output, format!("x{number}").into_bytes());
        }
    }

    #[test]
    fn a_value_cannot_end_its_line() {
        let mut output = Vec::new();
        let mut answer = Answer {
            output: &mut output,
            body: BodyPart::Omitted,
        };
        answer.field("A", "b\r\nC: d");
        answer.field("E", "f\tg");
        answer.finish(b"hidden");
        assert_eq!(output, b"E: f\tg\r\nContent-Length: 6\r\n\r\n");
    }

    #[test]
    fn every_status_of_the_contract_has_its_phrase() {
        for status in [
            200, 201, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 414, 415, 417, 429, 431,
            500, 503, 504, 505,
        ] {
            assert!(
                status_text(status).starts_with(&format!("{status} ")),
                "{status}"
            );
        }
    }
}
