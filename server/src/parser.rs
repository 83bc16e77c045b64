//! Parses a request head. Pure: no I/O, no clock, no state between calls.
//!
//! Guarantees: a head is accepted only if every implementation of RFC 9112 finds the same end of
//! the request. Input that implementations are known to read differently (both lengths, repeated
//! lengths, a bare LF, a folded line, a space before the colon) is refused. The result does not
//! depend on how the bytes were split.

use std::mem::MaybeUninit;

use httparse::{Header, Status};
use talos_api::error::ApiError;
use talos_api::fleet::MIN_POSITION_HEADER;
use talos_api::host;
use talos_api::route::HotRoute;
use talos_model::{CacheMode, Position};

use crate::limits::{self, HeadLimits};

/// Space for the header fields of one request, on the caller's stack.
pub(crate) type HeaderSlots<'b> = [MaybeUninit<Header<'b>>; limits::HEADERS_MAX];

/// An empty [`HeaderSlots`]. Costs nothing, because it stays uninitialised.
pub(crate) fn header_slots<'b>() -> HeaderSlots<'b> {
    [const { MaybeUninit::uninit() }; limits::HEADERS_MAX]
}

/// The result of parsing the bytes received so far.
#[derive(Debug)]
pub(crate) enum Parsed<'h, 'b> {
    /// The head is incomplete and valid so far.
    Incomplete,
    /// A complete head.
    Complete(Head<'h, 'b>),
    /// The head is refused. Nothing after it on the connection can be trusted.
    Reject(Reject),
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reject {
    /// 400 with this explanation.
    Malformed(&'static str),
    /// 431: too many bytes or too many fields.
    HeadTooLarge,
    /// 414: too long a target.
    TargetTooLong,
    /// 505: another version of HTTP.
    Version,
    /// 417: an expectation other than `100-continue`.
    Expectation,
    /// 415: a body with a content coding, such as gzip.
    ContentCoding,
}

impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Malformed(what) => Self::bad_request(what),
            Reject::HeadTooLarge => Self::head_too_large(),
            Reject::TargetTooLong => Self::uri_too_long(),
            Reject::Version => Self::http_version_not_supported(),
            Reject::Expectation => Self::expectation_failed(),
            Reject::ContentCoding => Self::unsupported_content_coding(),
        }
    }
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    /// `GET`, `POST`, …
    pub method: &'b str,
    /// The path as received, starting with `/`.
    pub path: &'b str,
    /// The text after the `?`; empty when there was none.
    pub query: &'b str,
    /// The authority of the target, or the `Host` field; empty in HTTP/1.0 without one.
    pub host: &'b str,
    /// All fields in order.
    pub fields: &'h [Header<'b>],
    /// Bytes from the start of the buffer to the end of the head.
    pub len: usize,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
    /// The HTTP version of the client.
    pub version: Version,
    /// Whether the connection stays open afterwards.
    pub persistence: Persistence,
    /// From `Cache-Control` and `Pragma`.
    pub cache: CacheMode,
    /// `X-Request-Id`, if it may be echoed.
    pub request_id: Option<&'b [u8]>,
    /// `Origin` as received.
    pub origin: Option<&'b [u8]>,
    /// The position that the answer must include.
    pub min_position: MinPosition,
}

impl<'b> Head<'_, 'b> {
    /// The value of the field `name`; `None` when it is missing or occurs more than once.
    pub(crate) fn only(&self, name: &str) -> Option<&'b [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// The values of all fields `name`, in order.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'b [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    }
}

/// How long a body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// This number of bytes.
    Known(u64),
    /// Chunked.
    Chunked,
}

/// The versions of HTTP that the server accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// What happens to a connection after the answer (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It stays open, the default of HTTP/1.1.
    Keep,
    /// It stays open, and the answer must say so for HTTP/1.0.
    KeepAndSay,
    /// It is closed.
    Close,
}

/// What a request demands by `Talos-Min-Position`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MinPosition {
    /// Nothing.
    #[default]
    None,
    /// All changes up to this one.
    At(Position),
    /// The fields do not contain exactly one position.
    Ambiguous,
}

impl MinPosition {
    /// Adds another field with this value.
    pub(crate) fn and(self, value: &[u8]) -> Self {
        let position = std::str::from_utf8(value).ok();
        match (self, position.and_then(|text| text.parse().ok())) {
            (Self::None, Some(position)) => Self::At(position),
            _ => Self::Ambiguous,
        }
    }
}

/// The most frequent path. It is compared before all others.
pub(crate) const VERIFY_PATH: &str = HotRoute::Verify.template();

/// Parses the head at the start of `input`. `allowed` says how large it may be.
pub(crate) fn parse<'h, 'b>(
    input: &'b [u8],
    allowed: &HeadLimits,
    slots: &'h mut HeaderSlots<'b>,
) -> Parsed<'h, 'b> {
    let mut request = httparse::Request::new(&mut []);
    let fields = allowed.fields.min(limits::HEADERS_MAX);
    let slots = slots.get_mut(..fields).unwrap_or_default();
    match request.parse_with_uninit_headers(input, slots) {
        Ok(Status::Complete(len)) if len > allowed.bytes => Parsed::Reject(Reject::HeadTooLarge),
        Ok(Status::Complete(len)) => match head_of(input, len, request, allowed) {
            Ok(head) => Parsed::Complete(head),
            Err(reject) => Parsed::Reject(reject),
        },
        Ok(Status::Partial) if input.len() >= allowed.bytes => Parsed::Reject(Reject::HeadTooLarge),
        Ok(Status::Partial) if has_bare_line_feed(input) => Parsed::Reject(BARE_LINE_FEED),
        Ok(Status::Partial) => Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => Parsed::Reject(Reject::HeadTooLarge),
        Err(httparse::Error::Version) if has_version(input) => Parsed::Reject(Reject::Version),
        Err(_) => Parsed::Reject(Reject::Malformed("malformed request head")),
    }
}

/// Whether the request line has three parts, as one with another version has. A blank in the target
/// makes more of them.
fn has_version(input: &[u8]) -> bool {
    let start = input.iter().position(|byte| !b"\r\n".contains(byte));
    let line = input.get(start.unwrap_or_default()..).unwrap_or_default();
    let line = line.split(|byte| *byte == b'\r').next().unwrap_or_default();
    line.split(|byte| *byte == b' ').count() == 3
}

const BARE_LINE_FEED: Reject = Reject::Malformed("a line of the head does not end with CR LF");

/// Whether a line ends with LF alone, which `httparse` accepts.
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head)
        .any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// The values of the fields that matter here.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact that any field may add"
)]
struct Facts<'b> {
    host: Option<&'b str>,
    content_length: Option<u64>,
    chunked: bool,
    expects_continue: bool,
    has_content_coding: bool,
    close: bool,
    keep_alive: bool,
    cache: CacheMode,
    request_id: Option<&'b [u8]>,
    origin: Option<&'b [u8]>,
    min_position: MinPosition,
}

fn head_of<'h, 'b>(
    input: &'b [u8],
    len: usize,
    request: httparse::Request<'h, 'b>,
    allowed: &HeadLimits,
) -> Result<Head<'h, 'b>, Reject> {
    let malformed = |what| Err(Reject::Malformed(what));
    if input.get(..len).is_none_or(has_bare_line_feed) {
        return Err(BARE_LINE_FEED);
    }
    let httparse::Request {
        method: Some(method),
        path: Some(target),
        version: Some(version),
        headers,
    } = request
    else {
        return malformed("malformed request head");
    };
    let fields: &'h [Header<'b>] = headers;
    let facts = facts(fields)?;
    let target = target_parts(target, allowed.target)?;
    if method == "CONNECT" {
        return malformed("CONNECT is not supported");
    }
    let body = match (version, facts.chunked, facts.content_length) {
        (0, true, _) => return malformed("Transfer-Encoding in HTTP/1.0"),
        (_, true, Some(_)) => return malformed("Transfer-Encoding with Content-Length"),
        (_, true, None) => BodyLength::Chunked,
        (_, false, length) => BodyLength::Known(length.unwrap_or(0)),
    };
    if facts.has_content_coding && body != BodyLength::Known(0) {
        return Err(Reject::ContentCoding);
    }
    let host = match (target.authority, facts.host) {
        (_, None) if version == 1 => return malformed("HTTP/1.1 needs a Host field"),
        (Some(authority), _) => authority,
        (None, host) => host.unwrap_or_default(),
    };
    let persistence = match (version, facts.close, facts.keep_alive) {
        (_, true, _) | (0, _, false) => Persistence::Close,
        (0, false, true) => Persistence::KeepAndSay,
        _ => Persistence::Keep,
    };
    Ok(Head {
        method,
        path: target.path,
        query: target.query,
        host,
        fields,
        len,
        body,
        // RFC 9110 §10.1.1: the expectation of an HTTP/1.0 client is ignored.
        expects_continue: facts.expects_continue && version == 1,
        version: if version == 1 {
            Version::Http11
        } else {
            Version::Http10
        },
        persistence,
        cache: facts.cache,
        request_id: facts.request_id,
        origin: facts.origin,
        min_position: facts.min_position,
    })
}

/// Reads the fields that matter here. Compares the length of a name first, because most fields
/// match none of these names.
fn facts<'b>(fields: &[Header<'b>]) -> Result<Facts<'b>, Reject> {
    let malformed = |what| Err(Reject::Malformed(what));
    let mut facts = Facts::default();
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => match (facts.host, host::authority(field.value)) {
                (Some(_), _) => return malformed("more than one Host field"),
                (None, None) => return malformed("malformed Host field"),
                (None, host) => facts.host = host,
            },
            6 if is("expect") => {
                if !field.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Reject::Expectation);
                }
                facts.expects_continue = true;
            }
            6 if is("origin") => facts.origin = facts.origin.or(Some(field.value)),
            6 if is("pragma") => facts.cache = stricter(facts.cache, cache_mode(field.value)),
            10 if is("connection") => {
                for option in list(field.value) {
                    facts.close |= option.eq_ignore_ascii_case(b"close");
                    facts.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if is("x-request-id") => {
                facts.request_id = facts.request_id.or(echoable(field.value));
            }
            13 if is("cache-control") => {
                facts.cache = stricter(facts.cache, cache_mode(field.value));
            }
            14 if is("content-length") => match (facts.content_length, digits(field.value)) {
                (Some(_), _) => return malformed("more than one Content-Length field"),
                (None, None) => return malformed("malformed Content-Length field"),
                (None, length) => facts.content_length = length,
            },
            16 if is("content-encoding") => {
                let is_coding = |coding: &[u8]| {
                    !(coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
                };
                facts.has_content_coding |= list(field.value).any(is_coding);
            }
            17 if is("transfer-encoding") => {
                if facts.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return malformed("the only supported Transfer-Encoding is chunked, once");
                }
                facts.chunked = true;
            }
            18 if is(MIN_POSITION_HEADER) => {
                facts.min_position = facts.min_position.and(field.value);
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Parses `1*DIGIT` that fits into 64 bits: no sign, no space, no list.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// Checks that a request id may be written to an answer and to a log unchanged.
fn echoable(value: &[u8]) -> Option<&[u8]> {
    let fits = (1..=limits::REQUEST_ID_BYTES).contains(&value.len());
    (fits && value.iter().all(u8::is_ascii_graphic)).then_some(value)
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without surrounding white space.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The cache mode that a `Cache-Control` or `Pragma` value demands. Other directives are ignored.
fn cache_mode(value: &[u8]) -> CacheMode {
    list(value).fold(CacheMode::Use, |mode, directive| {
        if directive.eq_ignore_ascii_case(b"no-store") {
            CacheMode::Bypass
        } else if directive.eq_ignore_ascii_case(b"no-cache") {
            stricter(mode, CacheMode::Refresh)
        } else {
            mode
        }
    })
}

/// The stricter of two modes: `no-store`, then `no-cache`, then none.
fn stricter(a: CacheMode, b: CacheMode) -> CacheMode {
    match (a, b) {
        (CacheMode::Observe, _) | (_, CacheMode::Observe) => CacheMode::Observe,
        (CacheMode::Bypass, _) | (_, CacheMode::Bypass) => CacheMode::Bypass,
        (CacheMode::Refresh, _) | (_, CacheMode::Refresh) => CacheMode::Refresh,
        (CacheMode::Use, CacheMode::Use) => CacheMode::Use,
    }
}

/// The parts of a request target.
struct Target<'b> {
    authority: Option<&'b str>,
    path: &'b str,
    query: &'b str,
}

/// Parses the origin form and the absolute form (RFC 9112 §3.2.1 and §3.2.2). The authority of the
/// absolute form replaces `Host`.
fn target_parts(target: &str, bytes_max: usize) -> Result<Target<'_>, Reject> {
    // Nearly every request has this target.
    if target == VERIFY_PATH {
        return Ok(Target {
            authority: None,
            path: target,
            query: "",
        });
    }
    let malformed = Err(Reject::Malformed("malformed request target"));
    if target.len() > bytes_max {
        return Err(Reject::TargetTooLong);
    }
    if target
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || byte == b'#')
    {
        return malformed;
    }
    let (name, rest) = if target.starts_with('/') {
        (None, target)
    } else {
        let Some(rest) = after_scheme(target) else {
            return malformed;
        };
        let (name, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        match host::authority(name.as_bytes()) {
            Some(name) if !name.is_empty() => (Some(name), rest),
            _ => return malformed,
        }
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // `http://host` and `http://host?query` mean the root.
    Ok(Target {
        authority: name,
        path: if path.is_empty() { "/" } else { path },
        query,
    })
}

/// The text after `http://` or `https://` in any case.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

#[cfg(test)]
#[path = "parser/tests.rs"]
mod tests;
