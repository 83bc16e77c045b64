//! Request heads: the result does not depend on how the bytes are split, and the length of the body
//! is the one that a simple line-by-line reader finds.

#![no_main]
#![allow(dead_code, reason = "only a part of the server's sources is used here")]

#[path = "../../server/src/limits.rs"]
mod limits;
#[path = "../../server/src/parser.rs"]
mod parser;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use parser::{BodyLength, Parsed, header_slots, parse};
use talos_fuzz::edits::{Edit, edited};

const LINES: [&str; 24] = [
    "Host: localhost:4420",
    "Host: [::1]",
    "host:example.org ",
    "Content-Length: 5",
    "Content-Length: 05",
    "content-length: 5, 5",
    "Content-Length: +5",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "transfer-encoding: Chunked",
    "Transfer-Encoding : chunked",
    "Connection: close",
    "Connection: keep-alive, Upgrade",
    "Cache-Control: no-cache, max-age=0",
    "Pragma: no-cache",
    "Cache-Control: no-store",
    "Expect: 100-continue",
    "Expect: 200-ok",
    "X-Request-Id: abc",
    "Authorization: Bearer x",
    " folded: line",
    "Content-Type: application/json",
    "X: \t y\t",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    request: u8,
    lines: Vec<u8>,
    free: &'a str,
    edits: Vec<Edit>,
    cut: u16,
}

fuzz_target!(|input: Input<'_>| {
    check(input.raw, input.cut);
    let requests = [
        "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1",
        "GET /health/alive HTTP/1.0",
        "GET http://example.org/x?y=z HTTP/1.1",
        "PATCH /v2alpha1/admin/issuedApiKeys/x?update_mask=name HTTP/1.1",
    ];
    let request = requests[usize::from(input.request) % requests.len()];
    let lines = input
        .lines
        .iter()
        .map(|n| LINES[usize::from(*n) % LINES.len()]);
    let lines: Vec<&str> = [request].into_iter().chain(lines).collect();
    let head = format!("{}\r\n{}\r\n\r\nhello", lines.join("\r\n"), input.free);
    check(head.as_bytes(), input.cut);
    check(&edited(head.as_bytes(), &input.edits), input.cut);
});

/// The result of parsing, independent of the input's memory.
#[derive(Debug, PartialEq)]
enum Read {
    Incomplete,
    Head {
        len: usize,
        body: BodyLength,
        text: String,
    },
    Reject,
}

fn read(bytes: &[u8]) -> Read {
    let mut slots = header_slots();
    match parse(bytes, &limits::HeadLimits::default(), &mut slots) {
        Parsed::Incomplete => Read::Incomplete,
        Parsed::Reject(_) => Read::Reject,
        Parsed::Complete(head) => {
            is_what_its_lines_say(bytes, &head);
            Read::Head {
                len: head.len,
                body: head.body,
                text: format!("{head:?}"),
            }
        }
    }
}

fn check(bytes: &[u8], cut: u16) {
    let whole = read(bytes);
    let part = &bytes[..usize::from(cut).min(bytes.len())];
    match (read(part), &whole) {
        (Read::Incomplete, Read::Head { len, .. }) => assert!(part.len() < *len),
        (Read::Incomplete, _) => {}
        (part, whole) => assert_eq!(part, *whole, "another split"),
    }
    if let Read::Head { len, .. } = whole {
        assert!(len <= limits::HEAD_BYTES);
        assert_eq!(read(&bytes[..len]), whole, "what follows changes nothing");
        assert_eq!(read(&bytes[..len - 1]), Read::Incomplete);
    }
}

/// Compares with a simple reader that only searches for CR LF and for the first colon.
fn is_what_its_lines_say(bytes: &[u8], head: &parser::Head<'_, '_>) {
    let text = &bytes[..head.len];
    assert!(text.ends_with(b"\r\n\r\n"));
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let line = &rest[..end];
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r') && !line.contains(&0));
        lines.push(line);
        rest = &rest[end + 2..];
    }
    assert!(rest.is_empty());
    // Empty lines may precede a request (RFC 9112 §2.2). The first empty line after the request
    // line ends the head.
    let start = lines
        .iter()
        .position(|line| !line.is_empty())
        .expect("a request line");
    let fields = &lines[start + 1..lines.len() - 1];
    assert_eq!(fields.len(), head.fields.len());
    let values = |wanted: &str| -> Vec<&[u8]> {
        let named = fields.iter().filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':').expect("a colon");
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            assert!(
                !name.is_empty() && name.iter().all(u8::is_ascii_graphic),
                "a name"
            );
            name.eq_ignore_ascii_case(wanted.as_bytes())
                .then(|| value.trim_ascii())
        });
        named.collect()
    };
    let (lengths, codings, hosts) = (
        values("content-length"),
        values("transfer-encoding"),
        values("host"),
    );
    match head.body {
        BodyLength::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1);
            assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
        }
        BodyLength::Known(length) => {
            assert!(codings.is_empty() && lengths.len() <= 1);
            let said = lengths
                .first()
                .map_or("0", |value| std::str::from_utf8(value).expect("digits"));
            assert!(said.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(said.parse(), Ok(length));
        }
    }
    assert!(hosts.len() <= 1);
    if head.persistence != parser::Persistence::Close && lines[start].ends_with(b"HTTP/1.1") {
        assert_eq!(hosts.len(), 1, "HTTP/1.1 has a host");
    }
    assert!(head.path.starts_with('/') && !head.path.contains('?'));
}
