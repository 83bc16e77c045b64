use super::*;

const PLAIN: &[u8] = b"POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: localhost:4420\r\nContent-Length: 2\r\n\r\n";

/// The result of parsing in a form that can be compared.
#[derive(Debug, PartialEq)]
enum Outcome {
    Incomplete,
    Reject(Reject),
    Head {
        target: (String, String),
        host: String,
        len: usize,
        body: BodyLength,
        persistence: Persistence,
    },
}

fn outcome(bytes: &[u8]) -> Outcome {
    let mut slots = header_slots();
    match parse(bytes, &HeadLimits::default(), &mut slots) {
        Parsed::Incomplete => Outcome::Incomplete,
        Parsed::Reject(reject) => Outcome::Reject(reject),
        Parsed::Complete(head) => Outcome::Head {
            target: (head.path.to_owned(), head.query.to_owned()),
            host: head.host.to_owned(),
            len: head.len,
            body: head.body,
            persistence: head.persistence,
        },
    }
}

fn with_head<R>(bytes: &[u8], look: impl FnOnce(&Head<'_, '_>) -> R) -> R {
    let mut slots = header_slots();
    match parse(bytes, &HeadLimits::default(), &mut slots) {
        Parsed::Complete(head) => look(&head),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(bytes)),
    }
}

/// A valid GET with these `fields`.
fn get(fields: &str) -> Vec<u8> {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

fn is_malformed(bytes: &[u8]) -> bool {
    matches!(outcome(bytes), Outcome::Reject(Reject::Malformed(_)))
}

#[test]
fn every_prefix_of_a_good_head_is_incomplete() {
    let absolute = b"\r\nGET http://h:1/a?b HTTP/1.1\r\nHost: x\r\nX-Odd:\t v \r\nTransfer-Encoding: chunked\r\n\r\n";
    for head in [PLAIN, absolute] {
        for end in 0..head.len() {
            assert_eq!(outcome(&head[..end]), Outcome::Incomplete, "{end}");
        }
        let whole = outcome(head);
        assert!(
            matches!(whole, Outcome::Head { len, .. } if len == head.len()),
            "{whole:?}"
        );
        // Bytes after the head belong to the body or to the next request and do not matter.
        for tail in [&b"{}"[..], b"\n\n", b"\0", b"GET"] {
            assert_eq!(outcome(&[head, tail].concat()), whole);
        }
    }
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for fields in [
        // Two lengths, equal or not, in two fields or in one.
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\ncontent-length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: 3,\r\n",
        // A length and chunks, in either order.
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        // Lengths that are no plain number.
        "Content-Length:\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3.0\r\n",
        "Content-Length: \x0b3\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        // Codings other than exactly one chunked.
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked;a=b\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        // White space around names, and folded lines.
        "Transfer-Encoding : chunked\r\n",
        "Content-Length : 3\r\n",
        "Content-Length\t: 3\r\n",
        " Content-Length: 3\r\n",
        "X: a\r\n b\r\n",
        "X: a\r\n\tb\r\n",
        "X:\r\n Content-Length: 3\r\n",
        // Control characters and broken lines.
        "X: a\0b\r\n",
        "X\0: a\r\n",
        "X: a\rb\r\n",
        "X: a\r\rContent-Length: 3\r\n",
        "X: a\nContent-Length: 3\r\n",
        "X: a\n",
        "\nX: a\r\n",
        "X: a\x7f\r\n",
        "X\r\n",
        ": a\r\n",
        "X(: a\r\n",
        "Ünicode: a\r\n",
        // A second Host.
        "Host: a\r\n",
        "host: b\r\n",
    ] {
        assert!(
            is_malformed(&get(fields)),
            "{fields:?}: {:?}",
            outcome(&get(fields))
        );
    }
}

#[test]
fn the_end_of_a_head_is_cr_lf_cr_lf() {
    for bytes in [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // The first bare line feed is enough, whatever follows.
        "GET / HTTP/1.1\n",
        "GET / HTTP/1.1\r\nHost: a\n",
        "\n",
    ] {
        assert!(
            is_malformed(bytes.as_bytes()),
            "{bytes:?}: {:?}",
            outcome(bytes.as_bytes())
        );
    }
}

#[test]
fn request_lines() {
    for line in [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / a HTTP/1.1",
        "GET HTTP/1.1",
        "GET /",
        "G(T / HTTP/1.1",
        "G\0T / HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /é HTTP/1.1",
        "GET /#fragment HTTP/1.1",
        "GET a HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET host:80 HTTP/1.1",
        "CONNECT host:80 HTTP/1.1",
        "CONNECT /path HTTP/1.1",
        "GET ftp://host/ HTTP/1.1",
        "GET http:///path HTTP/1.1",
        "GET http://user@host/ HTTP/1.1",
        "GET http://a,b/ HTTP/1.1",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    ] {
        let bytes = format!("{line}\r\nHost: a\r\n\r\n");
        let refused = matches!(
            outcome(bytes.as_bytes()),
            Outcome::Reject(Reject::Malformed(_) | Reject::Version)
        );
        assert!(refused, "{line:?}: {:?}", outcome(bytes.as_bytes()));
    }
    for version in [
        "HTTP/2.0", "HTTP/1.2", "HTTP/0.9", "HTTP/3", "http/1.1", "ICY/1.1",
    ] {
        let bytes = format!("GET / {version}\r\nHost: a\r\n\r\n");
        assert_eq!(
            outcome(bytes.as_bytes()),
            Outcome::Reject(Reject::Version),
            "{version}"
        );
    }
    for target in ["/a b", "/ ", " /", "/a b c", "/a?q=x y", "/a\tb"] {
        for version in ["HTTP/1.1", "HTTP/2.0"] {
            let bytes = format!("GET {target} {version}\r\nHost: a\r\n\r\n");
            assert!(is_malformed(bytes.as_bytes()), "{target:?} {version}");
        }
    }
}

#[test]
fn targets_are_taken_apart() {
    for (target, host, path, query) in [
        ("/", "field", "/", ""),
        ("//", "field", "//", ""),
        ("/a/b:c%2Fd", "field", "/a/b:c%2Fd", ""),
        ("/a?b=c?d", "field", "/a", "b=c?d"),
        ("/a?", "field", "/a", ""),
        ("/http://h/", "field", "/http://h/", ""),
        ("http://target:80/a?b", "target:80", "/a", "b"),
        ("HTTPS://target", "target", "/", ""),
        ("http://target?b", "target", "/", "b"),
        ("http://[::1]:80/", "[::1]:80", "/", ""),
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: field\r\n\r\n");
        with_head(bytes.as_bytes(), |head| {
            assert_eq!(
                (head.host, head.path, head.query),
                (host, path, query),
                "{target}"
            );
        });
    }
}

#[test]
fn hosts() {
    assert!(is_malformed(b"GET / HTTP/1.1\r\n\r\n"), "missing");
    assert!(
        is_malformed(b"GET http://a/ HTTP/1.1\r\n\r\n"),
        "missing beside an absolute target"
    );
    assert!(
        is_malformed(b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        "twice in HTTP/1.0"
    );
    with_head(b"GET / HTTP/1.0\r\n\r\n", |head| assert_eq!(head.host, ""));
    for (host, good) in [
        ("", true),
        ("a", true),
        ("a.example:4420", true),
        ("[2001:db8::1]:80", true),
        ("a b", false),
        ("a,b", false),
        ("a/b", false),
        ("a@b", false),
        ("a?b", false),
        ("a\\b", false),
        ("é", false),
        ("[::1", false),
        ("[::1]:port", false),
        ("localhost:port", false),
        ("localhost:80:80", false),
        ("a]", false),
        (&*"a".repeat(host::BYTES_MAX), true),
        (&*"a".repeat(host::BYTES_MAX + 1), false),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(is_malformed(bytes.as_bytes()), !good, "{host}");
    }
}

#[test]
fn bodies_have_no_content_coding() {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes();
    for coding in ["gzip", "GZIP", "br, identity", "identity,deflate", "x"] {
        for length in ["Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n"] {
            let bytes = post(&format!("{length}Content-Encoding: {coding}\r\n"));
            assert_eq!(
                outcome(&bytes),
                Outcome::Reject(Reject::ContentCoding),
                "{coding}"
            );
        }
        // Without a body there is nothing to decode.
        with_head(&post(&format!("Content-Encoding: {coding}\r\n")), |_| ());
    }
    for coding in ["", "identity", "Identity, identity"] {
        let fields = format!("Content-Length: 2\r\nContent-Encoding: {coding}\r\n");
        with_head(&post(&fields), |_| ());
    }
}

#[test]
fn bodies() {
    let body = |fields: &str| with_head(&get(fields), |head| head.body);
    assert_eq!(body(""), BodyLength::Known(0));
    assert_eq!(body("Content-Length: 0\r\n"), BodyLength::Known(0));
    assert_eq!(body("CONTENT-LENGTH:00012 \r\n"), BodyLength::Known(12));
    assert_eq!(
        body("Content-Length: 18446744073709551615\r\n"),
        BodyLength::Known(u64::MAX)
    );
    assert_eq!(body("transfer-encoding: CHUNKED\r\n"), BodyLength::Chunked);
    assert!(is_malformed(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
}

#[test]
fn persistence() {
    for (version, connection, persistence) in [
        ("1.1", "", Persistence::Keep),
        ("1.1", "Connection: keep-alive\r\n", Persistence::Keep),
        ("1.1", "Connection: close\r\n", Persistence::Close),
        ("1.1", "connection: x , CLOSE\r\n", Persistence::Close),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            Persistence::Close,
        ),
        ("1.1", "Connection: closed\r\n", Persistence::Keep),
        ("1.0", "", Persistence::Close),
        ("1.0", "Connection: Keep-Alive\r\n", Persistence::KeepAndSay),
        (
            "1.0",
            "Connection: keep-alive, close\r\n",
            Persistence::Close,
        ),
    ] {
        let bytes = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        with_head(bytes.as_bytes(), |head| {
            assert_eq!(head.persistence, persistence, "{version} {connection}");
        });
    }
}

#[test]
fn expectations() {
    assert!(with_head(&get("Expect: 100-Continue\r\n"), |head| head
        .expects_continue));
    assert!(!with_head(&get(""), |head| head.expects_continue));
    assert!(!with_head(
        b"GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
        |head| head.expects_continue
    ));
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect:\r\n",
        "Expect: 100-continue, x\r\n",
    ] {
        assert_eq!(
            outcome(&get(fields)),
            Outcome::Reject(Reject::Expectation),
            "{fields}"
        );
    }
}

#[test]
fn cache_modes() {
    for (fields, mode) in [
        ("", CacheMode::Use),
        ("Cache-Control: max-age=0\r\n", CacheMode::Use),
        ("Cache-Control: no-cachet\r\n", CacheMode::Use),
        ("Cache-Control: no-cache\r\n", CacheMode::Refresh),
        (
            "cache-control: max-age=0 ,\tNo-Cache\r\n",
            CacheMode::Refresh,
        ),
        ("Pragma: no-cache\r\n", CacheMode::Refresh),
        ("Cache-Control: no-store\r\n", CacheMode::Bypass),
        ("Cache-Control: no-store, no-cache\r\n", CacheMode::Bypass),
        ("Cache-Control: no-cache, NO-STORE\r\n", CacheMode::Bypass),
        (
            "Cache-Control: no-store\r\nPragma: no-cache\r\n",
            CacheMode::Bypass,
        ),
        (
            "Pragma: no-cache\r\nCache-Control: no-store\r\n",
            CacheMode::Bypass,
        ),
        (
            "Cache-Control: no-cache\r\nCache-Control: max-age=1\r\n",
            CacheMode::Refresh,
        ),
    ] {
        assert_eq!(with_head(&get(fields), |head| head.cache), mode, "{fields}");
    }
}

#[test]
fn request_ids_are_echoed_if_they_are_visible_ascii() {
    let echoed = |value: &str| {
        let bytes = get(&format!("X-Request-Id: {value}\r\n"));
        with_head(&bytes, |head| head.request_id.map(<[u8]>::to_vec))
    };
    let longest = "x".repeat(limits::REQUEST_ID_BYTES);
    for good in ["a", "~!\"{}", &longest] {
        assert_eq!(echoed(good), Some(good.as_bytes().to_vec()));
    }
    for bad in ["", "a b", "é", &format!("{longest}x")] {
        assert_eq!(echoed(bad), None, "{bad}");
    }
}

#[test]
fn bounds_hold_to_the_byte() {
    let filled = |len: usize| {
        let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4)).into_bytes()
    };
    assert!(matches!(
        outcome(&filled(limits::HEAD_BYTES)),
        Outcome::Head { .. }
    ));
    let over = filled(limits::HEAD_BYTES + 1);
    assert_eq!(outcome(&over), Outcome::Reject(Reject::HeadTooLarge));
    assert_eq!(
        outcome(&over[..limits::HEAD_BYTES]),
        Outcome::Reject(Reject::HeadTooLarge),
        "split"
    );
    assert_eq!(
        outcome(&over[..limits::HEAD_BYTES - 1]),
        Outcome::Incomplete
    );

    let fields = |count: usize| get(&"X: y\r\n".repeat(count - 1));
    assert!(matches!(
        outcome(&fields(limits::HEADERS)),
        Outcome::Head { .. }
    ));
    assert_eq!(
        outcome(&fields(limits::HEADERS + 1)),
        Outcome::Reject(Reject::HeadTooLarge)
    );

    let target = |len: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1)).into_bytes()
    };
    assert!(matches!(
        outcome(&target(limits::TARGET_BYTES)),
        Outcome::Head { .. }
    ));
    assert_eq!(
        outcome(&target(limits::TARGET_BYTES + 1)),
        Outcome::Reject(Reject::TargetTooLong)
    );
}

#[test]
fn a_refusal_does_not_depend_on_the_split() {
    let bad = get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n");
    assert!(is_malformed(&bad));
    for end in 0..bad.len() {
        assert_eq!(outcome(&bad[..end]), Outcome::Incomplete, "{end}");
    }
}

#[test]
fn a_demand_is_one_position() {
    let demand = |values: &[&str]| {
        let values = values.iter().map(|value| value.as_bytes());
        values.fold(MinPosition::None, MinPosition::and)
    };
    assert_eq!(demand(&[]), MinPosition::None);
    assert_eq!(
        demand(&["3.14"]),
        MinPosition::At(Position {
            epoch: talos_model::Epoch(3),
            sequence: talos_model::Sequence(14),
        })
    );
    for ambiguous in [
        &[""][..],
        &["1"],
        &["1.2.3"],
        &["1.2, 1.3"],
        &["\u{663}.1"],
        &["1.2", "1.2"],
        &["x", "1.2"],
    ] {
        assert_eq!(demand(ambiguous), MinPosition::Ambiguous, "{ambiguous:?}");
    }
    assert_eq!(MinPosition::None.and(b"1.\xff"), MinPosition::Ambiguous);
}
