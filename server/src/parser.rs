//! Bytes to a request head. Pure: no I/O, no clock, no state between calls.
//!
//! Guarantees: a head is accepted only if every reader of RFC 9112 sees the same boundary in the same bytes. Whatever
//! two implementations are known to read differently (both lengths, repeated lengths, a bare LF, a folded line, a space
//! before the colon) is refused, and the answer does not depend on how the bytes were split on the way.

use std::mem::MaybeUninit;

use httparse::{Header, Status};
use talos_api::error::ApiError;
use talos_api::fleet::MIN_POSITION_HEADER;
use talos_api::route::HotRoute;
use talos_engine::{CacheMode, Position};

use crate::limits;

/// Room for the header fields of one request, on the caller's stack.
pub(crate) type HeaderSlots<'b> = [MaybeUninit<Header<'b>>; limits::HEADERS];

/// An empty [`HeaderSlots`]; costs nothing.
pub(crate) fn header_slots<'b>() -> HeaderSlots<'b> {
    [const { MaybeUninit::uninit() }; limits::HEADERS]
}

/// What the bytes so far amount to.
#[derive(Debug)]
pub(crate) enum Parsed<'h, 'b> {
    /// The head is not complete, and nothing is wrong with it yet.
    Incomplete,
    /// A complete head.
    Complete(Head<'h, 'b>),
    /// Not HTTP/1.1 as we accept it; nothing after it can be trusted.
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
}

impl From<Reject> for ApiError {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Malformed(what) => Self::bad_request(what),
            Reject::HeadTooLarge => Self::head_too_large(),
            Reject::TargetTooLong => Self::uri_too_long(),
            Reject::Version => Self::http_version_not_supported(),
            Reject::Expectation => Self::expectation_failed(),
        }
    }
}

/// A request without its body.
#[derive(Debug)]
pub(crate) struct Head<'h, 'b> {
    /// `GET`, `POST`, …
    pub method: &'b str,
    /// The path as it came, starting with `/`.
    pub path: &'b str,
    /// What followed the `?`; empty when there was none.
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
    /// Which HTTP the client speaks.
    pub version: Version,
    /// Whether the connection stays open afterwards.
    pub persistence: Persistence,
    /// From `Cache-Control` and `Pragma`.
    pub cache: CacheMode,
    /// `X-Request-Id`, if it is fit to be echoed.
    pub request_id: Option<&'b [u8]>,
    /// `Origin`, as it came.
    pub origin: Option<&'b [u8]>,
    /// The position that the answer has to take account of.
    pub min_position: MinPosition,
}

impl<'b> Head<'_, 'b> {
    /// The value of the field `name`; `None` when it is missing or there are several, of which nobody knows which is
    /// meant.
    pub(crate) fn only(&self, name: &str) -> Option<&'b [u8]> {
        let mut values = self
            .fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value);
        values.next().filter(|_| values.next().is_none())
    }
}

/// How long a body is (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// So many bytes.
    Known(u64),
    /// In chunks.
    Chunked,
}

/// The versions of HTTP that are spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// What becomes of a connection after the answer (RFC 9112 §9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// It stays open, as HTTP/1.1 assumes.
    Keep,
    /// It stays open, which an HTTP/1.0 client must be told.
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
    /// Nobody knows what: no position, or several.
    Unclear,
}

impl MinPosition {
    /// With one more field of this value.
    pub(crate) fn and(self, value: &[u8]) -> Self {
        let position = std::str::from_utf8(value).ok();
        match (self, position.and_then(|text| text.parse().ok())) {
            (Self::None, Some(position)) => Self::At(position),
            _ => Self::Unclear,
        }
    }
}

/// The most frequent path. It is compared before all others.
pub(crate) const VERIFY_PATH: &str = HotRoute::Verify.template();

/// Parses the head at the start of `input`.
pub(crate) fn parse<'h, 'b>(input: &'b [u8], slots: &'h mut HeaderSlots<'b>) -> Parsed<'h, 'b> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(input, slots) {
        Ok(Status::Complete(len)) if len > limits::HEAD_BYTES => {
            Parsed::Reject(Reject::HeadTooLarge)
        }
        Ok(Status::Complete(len)) => match understand(input, len, request) {
            Ok(head) => Parsed::Complete(head),
            Err(reject) => Parsed::Reject(reject),
        },
        Ok(Status::Partial) if input.len() >= limits::HEAD_BYTES => {
            Parsed::Reject(Reject::HeadTooLarge)
        }
        Ok(Status::Partial) if has_bare_line_feed(input) => Parsed::Reject(BARE_LINE_FEED),
        Ok(Status::Partial) => Parsed::Incomplete,
        Err(httparse::Error::TooManyHeaders) => Parsed::Reject(Reject::HeadTooLarge),
        Err(httparse::Error::Version) => Parsed::Reject(Reject::Version),
        Err(_) => Parsed::Reject(Reject::Malformed("malformed request head")),
    }
}

const BARE_LINE_FEED: Reject = Reject::Malformed("a line of the head does not end with CR LF");

/// Whether some line ends with LF alone, which `httparse` lets pass.
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head)
        .any(|at| at.checked_sub(1).and_then(|before| head.get(before)) != Some(&b'\r'))
}

/// Fields that decide where the request ends and where it goes.
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
    close: bool,
    keep_alive: bool,
    cache: CacheMode,
    request_id: Option<&'b [u8]>,
    origin: Option<&'b [u8]>,
    min_position: MinPosition,
}

fn understand<'h, 'b>(
    input: &'b [u8],
    len: usize,
    request: httparse::Request<'h, 'b>,
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
    let target = target_parts(target)?;
    if method == "CONNECT" {
        return malformed("CONNECT is not spoken here");
    }
    let body = match (version, facts.chunked, facts.content_length) {
        (0, true, _) => return malformed("Transfer-Encoding in HTTP/1.0"),
        (_, true, Some(_)) => return malformed("Transfer-Encoding with Content-Length"),
        (_, true, None) => BodyLength::Chunked,
        (_, false, length) => BodyLength::Known(length.unwrap_or(0)),
    };
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

/// Reads the fields that matter here. Most requests have none of the rarer ones, so the length of the name decides first.
fn facts<'b>(fields: &[Header<'b>]) -> Result<Facts<'b>, Reject> {
    let malformed = |what| Err(Reject::Malformed(what));
    let mut facts = Facts::default();
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") => match (facts.host, authority(field.value)) {
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
            17 if is("transfer-encoding") => {
                if facts.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                    return malformed("the only Transfer-Encoding spoken here is one chunked");
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

/// `1*DIGIT` that fits 64 bits; no sign, no space, no list.
fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// For every byte whether it may stand in an authority (RFC 3986 §3.2).
#[expect(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which refuses a wrong index"
)]
const AUTHORITY: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        allowed[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=:[]";
    let mut at = 0;
    while at < marks.len() {
        allowed[marks[at] as usize] = true;
        at += 1;
    }
    allowed
};

/// A host with an optional port, of the characters that RFC 3986 §3.2 allows there; user information is not accepted.
fn authority(value: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| AUTHORITY.get(usize::from(*byte)) == Some(&true);
    if value.len() > limits::HOST_BYTES || !value.iter().all(allowed) {
        return None;
    }
    std::str::from_utf8(value).ok()
}

/// A request id that may appear in an answer and a log as it is.
fn echoable(value: &[u8]) -> Option<&[u8]> {
    let fits = (1..=limits::REQUEST_ID_BYTES).contains(&value.len());
    (fits && value.iter().all(u8::is_ascii_graphic)).then_some(value)
}

/// The members of a comma-separated list (RFC 9110 §5.6.1) without the white space around them.
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// What one `Cache-Control` or `Pragma` value asks for. Directives with an argument are others' business.
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

/// `no-store` wins over `no-cache`, which wins over nothing.
fn stricter(a: CacheMode, b: CacheMode) -> CacheMode {
    match (a, b) {
        (CacheMode::Bypass, _) | (_, CacheMode::Bypass) => CacheMode::Bypass,
        (CacheMode::Refresh, _) | (_, CacheMode::Refresh) => CacheMode::Refresh,
        (CacheMode::Use, CacheMode::Use) => CacheMode::Use,
    }
}

/// A request target, taken apart.
struct Target<'b> {
    authority: Option<&'b str>,
    path: &'b str,
    query: &'b str,
}

/// Accepts the origin form and the absolute form (RFC 9112 §3.2.1 and §3.2.2), whose authority then replaces `Host`.
fn target_parts(target: &str) -> Result<Target<'_>, Reject> {
    // Nearly every request asks for this one.
    if target == VERIFY_PATH {
        return Ok(Target {
            authority: None,
            path: target,
            query: "",
        });
    }
    let malformed = Err(Reject::Malformed("malformed request target"));
    if target.len() > limits::TARGET_BYTES {
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
        match authority(name.as_bytes()) {
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

/// What follows `http://` or `https://`, in any case.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

#[cfg(test)]
#[path = "parser/tests.rs"]
mod tests;
