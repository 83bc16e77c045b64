//! The proxy forwards all other requests and their answers unchanged, and streams them in both
//! directions.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use serde_json::json;
use talos_test_kit::http::request;
use talos_test_kit::keys::VERIFY;

use super::scripted::{self, Scripted, read_to};
use super::{Pair, command};
use crate::harness::cli::talos;
use crate::harness::site::Server;

#[test]
fn a_request_passes_untouched() {
    let upstream = Scripted::start(|_| scripted::json(418, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    let body = b"\x00\xff not JSON";
    let head = "PURGE /a//b/../%2F;p=1/%zz?q=%20&r=a/b? HTTP/1.1\r\nHost: tenant.example:81\r\n\
        Accept: one\r\nAccept: two\r\nX-Odd: \u{e9}\r\nAuthorization: Bearer t\r\nContent-Length: 11\r\n\
        X-Request-Id: mine\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n\
        Connection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nTE: trailers\r\nUpgrade: h2c\r\n\r\n";
    let mut connection = proxy.connect();
    let answer = connection
        .exchange(&[head.as_bytes(), &body[..]].concat())
        .unwrap();
    assert_eq!(answer.status, 418);
    assert_eq!(answer.header("ory-talos-cache"), None);
    let received = &upstream.received()[0];
    assert_eq!(
        received.line(),
        "PURGE /a//b/../%2F;p=1/%zz?q=%20&r=a/b? HTTP/1.1"
    );
    assert_eq!(received.body, &body[..11]);
    for (name, values) in [
        ("host", &["tenant.example:81"][..]),
        ("accept", &["one", "two"]),
        ("x-odd", &["\u{e9}"]),
        ("authorization", &["Bearer t"]),
        ("content-length", &["11"]),
        ("x-request-id", &["mine"]),
        ("x-forwarded-for", &["192.0.2.1, 192.0.2.2, 127.0.0.1"]),
        ("via", &["1.1 talos-proxy"]),
        ("connection", &[]),
        ("x-hop", &[]),
        ("keep-alive", &[]),
        ("te", &[]),
        ("upgrade", &[]),
        ("transfer-encoding", &[]),
    ] {
        assert_eq!(received.values(name), values, "{name}\n{}", received.head);
    }
    // The connection stays open, and so does the one to the upstream.
    assert_eq!(connection.call("GET", "/", &[], b"").status, 418);
    let received = &upstream.received()[1];
    assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(received.values("x-request-id")[0].len(), 32);
}

/// A client that claims another address gains nothing from a proxy that replaces such claims.
#[test]
fn claimed_addresses_are_replaced_on_demand() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&["--replace-x-forwarded-for"]);
    let claims = [
        ("X-Forwarded-For", "192.0.2.1, 192.0.2.2"),
        ("x-forwarded-for", "192.0.2.3"),
        ("X-Real-Ip", "192.0.2.1"),
        ("Cf-Connecting-Ip", "192.0.2.1"),
        ("True-Client-Ip", "192.0.2.1"),
        ("Connection", "x-forwarded-for"),
    ];
    for path in ["/version", "/verify"] {
        let mut connection = proxy.connect();
        assert_eq!(connection.call("GET", path, &claims, b"").status, 200);
    }
    for received in upstream.received() {
        assert_eq!(received.values("x-forwarded-for"), ["127.0.0.1"]);
        for name in ["x-real-ip", "cf-connecting-ip", "true-client-ip"] {
            assert!(received.values(name).is_empty(), "{name}");
        }
    }
}

#[test]
fn an_answer_passes_untouched() {
    let lines = "X-Odd: 1\r\nX-Odd: 2\r\nX-Request-Id: theirs\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
        Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nOry-Talos-Cache: SKIP\r\n";
    let upstream = Scripted::start(move |_| scripted::with_headers(207, lines, "text"));
    let (proxy, _directory) = upstream.proxy(&[]);
    let answer = proxy.connect().call("GET", "/x", &[], b"");
    assert_eq!((answer.status, &answer.body[..]), (207, &b"text"[..]));
    let values = |name: &str| -> Vec<_> {
        let found = answer.headers.iter().filter(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("x-odd"), ["1", "2"]);
    assert_eq!(values("x-request-id"), ["theirs"]);
    assert_eq!(values("date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
    assert_eq!(values("ory-talos-cache"), ["SKIP"]);
    for name in ["connection", "x-hop", "keep-alive"] {
        assert!(values(name).is_empty(), "{name}: {answer:?}");
    }
}

/// The upstream gets the first part of a request before the client sends the second, and the client
/// gets the first part of the answer before the upstream writes the second.
#[test]
fn bodies_stream_in_both_directions() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (half_received, first_half) = mpsc::channel();
    let (let_go, second_half) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut unread = Vec::new();
            read_to(&mut stream, &mut unread, b"\r\n\r\n").unwrap();
            if unread.starts_with(b"GET /health") {
                // The proxy must not send the upload on this connection, which ends here.
                let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                stream.write_all(close).unwrap();
                continue;
            }
            read_to(&mut stream, &mut unread, b"first").unwrap();
            half_received.send(()).unwrap();
            read_to(&mut stream, &mut unread, b"second").unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthird";
            stream.write_all(head).unwrap();
            second_half.recv().unwrap();
            stream.write_all(b"forth").unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let proxy = Server::start(command(&url, &[]), directory.path().join("proxy.log"));
    let mut connection = proxy.connect();
    let head = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nfirst";
    connection.send(head);
    first_half
        .recv_timeout(super::PATIENCE)
        .expect("the upload");
    connection.send(b"second");
    let mut seen = connection.sender();
    seen.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut unread = Vec::new();
    read_to(&mut seen, &mut unread, b"third").expect("the first half");
    let_go.send(()).unwrap();
    read_to(&mut seen, &mut unread, b"forth").expect("the second half");
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let pair = Pair::start(&[]);
    let refused = |bytes: &[u8]| {
        let mut connection = pair.proxy.connect();
        connection.send(bytes);
        let answer = connection.answer();
        answer.assert_error(413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE");
    };
    let largest = 1 << 20;
    let body = |length: usize| {
        let mut body = br#"{"credential":"x"}"#.to_vec();
        body.resize(length, b' ');
        body
    };
    for path in [VERIFY, "/v2alpha1/apiKeys:selfRevoke"] {
        refused(&request("POST", path, &[], &body(largest + 1)));
        let mut chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
            largest + 1
        )
        .into_bytes();
        chunked.extend(body(largest + 1));
        chunked.extend(b"\r\n0\r\n\r\n");
        refused(&chunked);
        // A client that waits for 100 Continue gets the refusal instead.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            largest + 1
        );
        refused(head.as_bytes());
    }
    let mut connection = pair.proxy.connect();
    let answer = connection.call("POST", VERIFY, &[], &body(largest));
    super::assert_refused(&answer, "NOT_FOUND");
    let head = format!(
        "POST {VERIFY} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 18\r\n\r\n"
    );
    assert_eq!(connection.exchange(head.as_bytes()).unwrap().status, 100);
    let answer = connection.exchange(&body(18)).unwrap();
    super::assert_refused(&answer, "NOT_FOUND");

    // A batch import may be larger; the server checks its size.
    let item = json!({"name": "n", "actor_id": "a", "raw_key": "batch", "metadata": {}});
    let mut body = json!({"requests": [item]}).to_string();
    body += &" ".repeat(4 << 20);
    let path = "/v2alpha1/admin/importedApiKeys:batchCreate";
    let answer = connection.call("POST", path, &[], body.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["success_count"], 1);
}

#[test]
fn ambiguous_framing_is_refused() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    for lines in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let mut connection = proxy.connect();
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
        let bytes = format!("POST /x HTTP/1.1\r\nHost: h\r\n{lines}\r\n{smuggled}");
        connection.send(bytes.as_bytes());
        assert_eq!(connection.answer().status, 400, "{lines}");
    }
    let received = upstream.received();
    assert!(received.is_empty(), "{received:?}");

    // `Transfer-Encoding` overrides `Content-Length` (RFC 9112 §6.3), which is not forwarded.
    let bytes = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n\
        1\r\nb\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut connection = proxy.connect();
    connection.send(bytes.as_bytes());
    assert_eq!(connection.answer().status, 200);
    let received = &upstream.received()[0];
    assert_eq!(received.body, b"1\r\nb\r\n0\r\n\r\n");
    assert!(received.values("content-length").is_empty(), "{received:?}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let pair = Pair::start(&[]);
    let key = pair.proxy.connect().issue("key");
    let body = json!({"credential": key.secret}).to_string();
    let one = [
        request("POST", VERIFY, &[], body.as_bytes()),
        request("GET", "/version", &[], b""),
        request("GET", "/nowhere", &[], b""),
    ]
    .concat();
    let mut connection = pair.proxy.connect();
    connection.send(&one.repeat(20));
    for round in 0..20 {
        let from = if round == 0 { "MISS" } else { "HIT" };
        super::assert_accepted(&connection.answer(), from);
        assert!(connection.answer().json()["version"].is_string());
        let answer = connection.answer();
        answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
    }
}

/// A client of a server works through a proxy, too.
#[test]
fn the_command_line_works_through_the_proxy() {
    let pair = Pair::start(&[]);
    let run = |arguments: &[&str]| talos(pair.proxy.address, arguments);
    let key = run(&["keys", "issue", "n", "--actor", "a", "--format", "json"]).json();
    let secret = key["secret"].as_str().unwrap();
    let id = key["issued_api_key"]["key_id"].as_str().unwrap();
    for _ in 0..2 {
        run(&["keys", "verify", secret]).succeeded();
    }
    let list = run(&["keys", "issued", "list", "--format", "json"]).json();
    assert_eq!(list["issued_api_keys"][0]["key_id"], id);
    run(&["keys", "revoke", id]).succeeded();
    assert_eq!(run(&["keys", "verify", secret]).code, Some(1));
}
