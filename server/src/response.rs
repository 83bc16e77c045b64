//! Answers as bytes: status line, the fields that every answer carries, body.
//!
//! Guarantees: an answer is appended whole; `Content-Length` is that of the body; no field value can end its line.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

use talos_api::error::ApiError;

use crate::core::Core;
use crate::framing::Framing;
use crate::metrics::Route;
use crate::parser::{Head, Persistence};
use crate::position::Basis;

/// An answer that tells a client to send its body (RFC 9110 §15.2.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What all parts of one answer need to know of the request.
#[derive(Clone, Copy)]
pub(crate) struct Exchange<'a> {
    /// Where it is answered.
    pub core: &'a Core,
    /// Under which route it is counted.
    pub route: Route,
    /// What becomes of the connection.
    pub persistence: Persistence,
    /// Whether the body is left out, as the method HEAD asks.
    pub body: BodyPart,
    /// Echoed or made.
    pub request_id: RequestId<'a>,
    /// From which origin's page a browser sent it.
    pub origin: Option<&'a [u8]>,
}

/// Whether an answer's body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyPart {
    /// It is.
    Sent,
    /// Only its length is told (RFC 9110 §9.3.2).
    Omitted,
    /// There is none, nor a length (RFC 9110 §8.6).
    Absent,
}

impl BodyPart {
    /// What `method` asks for.
    pub(crate) fn of(method: &str) -> Self {
        if method == "HEAD" {
            Self::Omitted
        } else {
            Self::Sent
        }
    }
}

impl<'a> Exchange<'a> {
    /// The exchange that `head` begins.
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
        }
    }

    /// The exchange for bytes that are no request.
    pub(crate) fn malformed(core: &'a Core) -> Self {
        Self {
            core,
            route: Route::Malformed,
            persistence: Persistence::Close,
            body: BodyPart::Sent,
            request_id: RequestId::Made(core.request_ids.make()),
            origin: None,
        }
    }

    /// Begins an answer in `output`, which was evaluated before and rests on `basis`.
    pub(crate) fn answer<'o>(
        &self,
        output: &'o mut Vec<u8>,
        status: u16,
        basis: Basis,
    ) -> Answer<'o> {
        let core = self.core;
        core.metrics.requests.count(self.route, status);
        output.extend_from_slice(b"HTTP/1.1 ");
        output.extend_from_slice(status_text(status).as_bytes());
        let mut preludes = core.preludes.borrow_mut();
        output.extend_from_slice(preludes.of(basis, &core.shared.engine));
        output.extend_from_slice(self.request_id.bytes());
        output.extend_from_slice(match self.persistence {
            Persistence::Keep => b"\r\n",
            Persistence::KeepAndSay => b"\r\nConnection: keep-alive\r\n",
            Persistence::Close => b"\r\nConnection: close\r\n",
        });
        if let Some(cors) = &self.core.shared.cors {
            cors.write(self.origin, output);
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

    /// A whole answer from an error.
    pub(crate) fn refuse(&self, output: &mut Vec<u8>, error: &ApiError) {
        let mut answer = self.answer(output, error.status(), Basis::NOTHING);
        for (name, value) in error.headers() {
            answer.field(name, &value);
        }
        answer.finish(&error.to_body());
    }
}

/// An answer whose fields are being written.
pub(crate) struct Answer<'o> {
    output: &'o mut Vec<u8>,
    body: BodyPart,
}

impl Answer<'_> {
    /// Adds a field, unless its value would break the line.
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

    /// Ends the head of an answer whose body is framed so, and adds what is there of the body.
    pub(crate) fn finish_open(mut self, framing: Framing, begun: &[u8]) {
        self.raw(framing.field());
        self.raw(b"\r\n");
        if self.body == BodyPart::Sent {
            framing.append(begun, self.output);
        }
    }

    /// Ends the head and adds a body that lies in several places.
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

/// Status code and reason phrase. A code that is not listed is sent as 500, because a made-up phrase helps nobody.
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

/// The id under which a request is found in the logs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestId<'a> {
    /// The client's.
    Echoed(&'a [u8]),
    /// Ours.
    Made([u8; 32]),
}

impl RequestId<'_> {
    /// The id as visible ASCII.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Echoed(bytes) => bytes,
            Self::Made(bytes) => bytes,
        }
    }
}

/// Makes ids without allocating: 16 random hexadecimal digits of this core and start, then 16 that count.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: [u8; 16],
    count: Cell<u64>,
}

impl RequestIds {
    /// A new random prefix.
    pub(crate) fn new() -> Self {
        // The standard library seeds its hash maps from the system's random source; an id needs no more than that.
        Self {
            prefix: hexadecimal(RandomState::new().build_hasher().finish()),
            count: Cell::new(0),
        }
    }

    /// The next id.
    pub(crate) fn make(&self) -> [u8; 32] {
        let count = self.count.get().wrapping_add(1);
        self.count.set(count);
        let mut id = [0; 32];
        for (half, digits) in id
            .as_chunks_mut::<16>()
            .0
            .iter_mut()
            .zip([self.prefix, hexadecimal(count)])
        {
            *half = digits;
        }
        id
    }
}

/// Sixteen digits in lower case, eight at a time: each nibble gets a byte of its own, and all become letters at once.
fn hexadecimal(number: u64) -> [u8; 16] {
    const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;
    let digits = |half: u64| {
        let pairs = (half | half << 16) & 0x0000_ffff_0000_ffff;
        let bytes = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
        let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // Adding 6 carries into the fifth bit from 10 on.
        let letters = ((nibbles + 6 * EVERY_BYTE) >> 4) & EVERY_BYTE;
        let text = nibbles + u64::from(b'0') * EVERY_BYTE + letters * u64::from(b'a' - b'9' - 1);
        text.to_be_bytes()
    };
    let mut text = [0; 16];
    let halves = [digits(number >> 32), digits(number & 0xffff_ffff)];
    for (place, half) in text.as_chunks_mut::<8>().0.iter_mut().zip(halves) {
        *place = half;
    }
    text
}

/// A `Date` value (RFC 9110 §5.6.7), always 29 bytes.
pub(crate) type Date = [u8; 29];

/// The `Date` value for `seconds` since 1970.
pub(crate) fn date(seconds: i64) -> Date {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = seconds.div_euclid(86_400);
    let second = seconds.rem_euclid(86_400);
    // Years that begin in March put the leap day last. An era is 400 such years, 146 097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    let name = |names: &[&'static str], at: i64| {
        usize::try_from(at)
            .ok()
            .and_then(|at| names.get(at).copied())
    };
    let text = format!(
        "{}, {day:02} {} {:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, (days + 4).rem_euclid(7)).unwrap_or("Thu"),
        name(&MONTHS, month).unwrap_or("Jan"),
        year.clamp(0, 9999),
        second / 3600,
        second / 60 % 60,
        second % 60,
    );
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    for (slot, byte) in date.iter_mut().zip(text.bytes()) {
        *slot = byte;
    }
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&date(seconds)), Ok(text));
        }
    }

    #[test]
    fn numbers_are_written_in_decimal() {
        for number in [0, 1, 9, 10, 99, 100, 1_048_576, u64::MAX - 1, u64::MAX] {
            let mut output = b"x".to_vec();
            write_decimal(&mut output, number);
            assert_eq!(output, format!("x{number}").into_bytes());
        }
    }

    #[test]
    fn ids_are_32_digits_and_differ() {
        let ids = RequestIds::new();
        let (first, second) = (ids.make(), ids.make());
        assert!(
            first
                .iter()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
        );
        assert_eq!(first.first_chunk::<16>(), second.first_chunk::<16>());
        assert_eq!(first.last_chunk(), Some(b"0000000000000001"));
        assert_eq!(second.last_chunk(), Some(b"0000000000000002"));
        assert_ne!(RequestIds::new().make(), RequestIds::new().make());
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for number in [
            0,
            1,
            9,
            10,
            15,
            16,
            0xabcd_ef01_2345_6789,
            u64::MAX - 9,
            u64::MAX,
        ] {
            assert_eq!(hexadecimal(number), *format!("{number:016x}").as_bytes());
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
            200, 201, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 414, 417, 429, 431, 500,
            503, 504, 505,
        ] {
            assert!(
                status_text(status).starts_with(&format!("{status} ")),
                "{status}"
            );
        }
    }
}
