//! HTTP/1.1 from attackers and broken clients: the server gives the right answer, or refuses and
//! closes cleanly. It never takes the bytes of one request for another request.

use std::time::Duration;

use serde_json::json;
use talos_test_kit::http::{Connection, request};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

const ALIVE: &[u8] = b"GET /health/alive HTTP/1.1\r\nHost: h\r\n\r\n";

fn verification(credential: &str) -> Vec<u8> {
    request(
        "POST",
        VERIFY,
        &[],
        json!({"credential": credential}).to_string().as_bytes(),
    )
}

/// A verification whose head has these lines, and whose body is `{"credential":"x"}`.
fn with_lines(lines: &str) -> Vec<u8> {
    format!("POST {VERIFY} HTTP/1.1\r\n{lines}\r\n{{\"credential\":\"x\"}}").into_bytes()
}

/// Sends bytes that the server refuses, and after them a request that it must not answer.
#[track_caller]
fn assert_refused_and_closed(server: &Server, bytes: &[u8], statuses: &[u16]) {
    let mut connection = server.connect();
    // The server may close the connection before all bytes are sent.
    let _ = connection.try_send(&[bytes, ALIVE].concat());
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    let answer = connection
        .receive()
        .unwrap_or_else(|error| panic!("{error:?} after {shown:?}"));
    assert!(
        statuses.contains(&answer.status),
        "{} after {shown:?}",
        answer.status
    );
    assert!(answer.closes(), "not closed after {shown:?}");
    assert_eq!(answer.json()["error"]["code"], answer.status);
    assert!(connection.is_closed());
    assert_eq!(server.connect().exchange(ALIVE).unwrap().status, 200);
}

/// Two pipelined verifications whose answers differ, and a third request.
fn pipeline(key: &Issued) -> Vec<u8> {
    [
        verification(&key.secret),
        verification("unknown"),
        ALIVE.to_vec(),
    ]
    .concat()
}

#[track_caller]
fn assert_pipeline_answered(connection: &mut Connection, key: &Issued) {
    assert_valid(&connection.answer().json(), &key.key_id);
    assert_refused(&connection.answer().json(), "NOT_FOUND");
    assert_eq!(connection.answer().json(), json!({"status": "ok"}));
}

both_drivers! {
    fn ambiguous_framing_is_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let chunked = "Host: h\r\nTransfer-Encoding: chunked\r\n";
        let refused = [
            "Host: h\r\nContent-Length: 18\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\nContent-Length: 18\r\nContent-Length: 5\r\n".to_owned(),
            "Host: h\r\nContent-Length: 18, 18\r\n".to_owned(),
            "Host: h\r\nContent-Length: +18\r\n".to_owned(),
            "Host: h\r\nContent-Length: -1\r\n".to_owned(),
            "Host: h\r\nContent-Length: 0x12\r\n".to_owned(),
            "Host: h\r\nContent-Length: 1 8\r\n".to_owned(),
            "Host: h\r\nContent-Length:\r\n".to_owned(),
            "Host: h\r\nContent-Length: 99999999999999999999999\r\n".to_owned(),
            format!("{chunked}Content-Length: 18\r\n"),
            format!("Content-Length: 18\r\n{chunked}"),
            "Host: h\r\nTransfer-Encoding: gzip, chunked\r\n".to_owned(),
            "Host: h\r\nTransfer-Encoding: chunked, identity\r\n".to_owned(),
            "Host: h\r\nTransfer-Encoding: identity\r\n".to_owned(),
            "Host: h\r\nTransfer-Encoding: xchunked\r\n".to_owned(),
            format!("{chunked}Transfer-Encoding: chunked\r\n"),
            "Host: h\r\nTransfer-Encoding : chunked\r\n".to_owned(),
            "Host: h\r\nContent-Length : 18\r\n".to_owned(),
            "Host: h\r\nX: a\r\n folded\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\nX: a\0b\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\nX\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\n: x\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\nX: a\nY: b\r\nContent-Length: 18\r\n".to_owned(),
            "Host: h\r\nX: a\rY: b\r\nContent-Length: 18\r\n".to_owned(),
            "Content-Length: 18\r\n".to_owned(),
            "Host: h\r\nHost: h\r\nContent-Length: 18\r\n".to_owned(),
        ];
        for lines in refused {
            assert_refused_and_closed(&server, &with_lines(&lines), &[400]);
        }
        server.stop();
    }

    fn broken_request_lines_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        for line in [
            "GET /health/alive\r\n", "GET  /health/alive HTTP/1.1\r\n", "GET /health/alive HTTP/1.1 \r\n",
            "GET /health/alive HTTP/1.1\n", " GET /health/alive HTTP/1.1\r\n", "GET health/alive HTTP/1.1\r\n",
            "GET /health/al\x01ive HTTP/1.1\r\n", "G@T /health/alive HTTP/1.1\r\n", "GET /health/alive HTTP/2.0\r\n",
            "GET /health/alive http/1.1\r\n", "\0\0\0\0\r\n", "\x16\x03\x01\x02\x00\x01\x00\r\n",
            "CONNECT example.com:443 HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n",
        ] {
            assert_refused_and_closed(&server, format!("{line}Host: h\r\n\r\n").as_bytes(), &[400, 505]);
        }
        server.stop();
    }

    fn broken_chunks_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let head = format!("POST {VERIFY} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunks in [
            "x\r\n", "-1\r\n", "+2\r\n{}\r\n0\r\n\r\n", "0x2\r\n{}\r\n0\r\n\r\n", "2\n{}\r\n0\r\n\r\n", "2\r\n{}0\r\n\r\n",
            "2\r\n{}\n0\r\n\r\n", "2;a\nb\r\n{}\r\n0\r\n\r\n", " 2\r\n{}\r\n0\r\n\r\n", "2 \r\n{}\r\n0\r\n\r\n",
            "fffffffffffffffff\r\n", "\r\n2\r\n{}\r\n0\r\n\r\n", "2\r\n{}\r\n0\r\nA: b\nC: d\r\n\r\n", "2\r\n{}\r\n0\r\nA: \0\r\n\r\n",
            "2\r\n{}\r\n0\r\n\n",
        ] {
            assert_refused_and_closed(&server, format!("{head}{chunks}").as_bytes(), &[400, 413]);
        }
        server.stop();
    }

    fn chunked_bodies_work(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let body = json!({"credential": key.secret}).to_string();
        let head = format!("POST {VERIFY} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut chunks = String::new();
        for byte in body.chars() {
            chunks += &format!("1;name=value\r\n{byte}\r\n");
        }
        let pieces = format!("{head}{chunks}0\r\nTrailer: dropped\r\n\r\n");
        let whole = format!("{head}{:X}\r\n{body}\r\n0\r\n\r\n", body.len());
        connection.send([pieces.as_bytes(), whole.as_bytes(), ALIVE].concat().as_slice());
        for _ in 0..2 {
            assert_valid(&connection.answer().json(), &key.key_id);
        }
        assert_eq!(connection.answer().status, 200);
        server.stop();
    }

    /// Sends the requests in one write, then cut in two at every byte, then byte by byte.
    fn pipelined_and_split_requests(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let bytes = pipeline(&key);
        connection.send(&bytes);
        assert_pipeline_answered(&mut connection, &key);
        for cut in 1..bytes.len() {
            connection.send(&bytes[..cut]);
            // Gives the server time to read the first part alone. If it reads both at once, the
            // test checks less but still passes.
            std::thread::sleep(Duration::from_micros(500));
            connection.send(&bytes[cut..]);
            assert_pipeline_answered(&mut connection, &key);
        }
        for byte in bytes.chunks(1) {
            connection.send(byte);
            std::thread::sleep(Duration::from_micros(200));
        }
        assert_pipeline_answered(&mut connection, &key);
        server.stop();
    }

    fn requests_of_all_kinds_in_one_pipeline(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let get = request("GET", &format!("/v2alpha1/admin/issuedApiKeys/{}", key.key_id), &[], b"");
        let nowhere = request("GET", "/nowhere", &[], b"");
        let count = 50;
        let round = [verification(&key.secret), get, nowhere, verification("x")].concat();
        let all = round.repeat(count);
        let mut sender = connection.sender();
        std::thread::scope(|scope| {
            scope.spawn(|| std::io::Write::write_all(&mut sender, &all).unwrap());
            for _ in 0..count {
                assert_valid(&connection.answer().json(), &key.key_id);
                assert_eq!(connection.answer().json()["key_id"], key.key_id.as_str());
                connection.answer().assert_error(404, "NOT_FOUND", "NOT_FOUND");
                assert_refused(&connection.answer().json(), "NOT_FOUND");
            }
        });
        server.stop();
    }

    fn large_bodies_are_refused_and_the_answer_is_seen(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let body = vec![b'x'; 2 << 20];
        let head = |framing: &str| format!("POST {VERIFY} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").into_bytes();
        let sized = [head(&format!("Content-Length: {}", body.len())), body.clone()].concat();
        let size = format!("{:x}\r\n", body.len()).into_bytes();
        let chunked = [head("Transfer-Encoding: chunked"), size, body].concat();
        for bytes in [sized, chunked] {
            let mut connection = server.connect();
            let mut sender = connection.sender();
            std::thread::scope(|scope| {
                // The send may fail in the middle; the answer must arrive.
                scope.spawn(move || std::io::Write::write_all(&mut sender, &bytes));
                connection.answer().assert_error(413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE");
                connection.finish_sending();
            });
            assert_eq!(server.connect().exchange(ALIVE).unwrap().status, 200);
        }
        // A body of exactly the limit is allowed.
        let padding = " ".repeat((1 << 20) - 18);
        let body = format!("{{\"credential\":\"x\"{padding}}}");
        assert_eq!(body.len(), 1 << 20);
        let answer = server.connect().exchange(&request("POST", VERIFY, &[], body.as_bytes())).unwrap();
        assert_refused(&answer.json(), "NOT_FOUND");
        server.stop();
    }

    fn large_heads_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let long_value = format!("GET /health/alive HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(20_000));
        let many = format!("GET /health/alive HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(100));
        let endless = format!("GET /health/alive HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(20_000));
        let target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(9_000));
        assert_refused_and_closed(&server, long_value.as_bytes(), &[431]);
        assert_refused_and_closed(&server, many.as_bytes(), &[431]);
        assert_refused_and_closed(&server, endless.as_bytes(), &[431]);
        assert_refused_and_closed(&server, target.as_bytes(), &[414]);
        server.stop();
    }

    /// The server answers 408 to a client that sends its head byte by byte without end, and closes
    /// the connection. The client gets the answer although it goes on sending. Other clients are
    /// not affected.
    fn a_slow_head_gets_408(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut slow = server.connect();
        let mut sender = slow.sender();
        let answer = std::thread::scope(|scope| {
            scope.spawn(move || {
                use std::io::Write;
                let head = b"GET /health/alive HTTP/1.1\r\nHost: h\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
                for byte in head.take(5000) {
                    if sender.write_all(&[*byte]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let answer = slow.answer();
            slow.finish_sending();
            answer
        });
        answer.assert_error(408, "DEADLINE_EXCEEDED", "REQUEST_TIMEOUT");
        assert!(slow.is_closed());
        assert_eq!(server.connect().exchange(ALIVE).unwrap().status, 200);
        server.stop();
    }

    fn clients_that_vanish_do_no_harm(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key = server.connect().issue("key");
        let bytes = pipeline(&key);
        for cut in (0..bytes.len()).step_by(7) {
            let mut connection = server.connect();
            connection.send(&bytes[..cut]);
            drop(connection);
            let mut half_closed = server.connect();
            half_closed.send(&bytes[..cut]);
            half_closed.finish_sending();
            // The server answers the complete requests, then closes the connection.
            while half_closed.receive().is_ok() {}
        }
        let mut connection = server.connect();
        connection.send(&bytes);
        assert_pipeline_answered(&mut connection, &key);
        server.stop();
    }

    fn half_closed_connections_are_answered(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key = server.connect().issue("key");
        let send_all = |bytes: &[u8]| {
            let mut connection = server.connect();
            connection.send(bytes);
            connection.finish_sending();
            connection
        };
        let mut connection = send_all(&pipeline(&key));
        assert_pipeline_answered(&mut connection, &key);
        assert!(connection.is_closed());
        let issue = request("POST", ISSUE, &[], br#"{"name": "n", "actor_id": "a"}"#);
        let list = request("GET", ISSUE, &[], b"");
        let mut connection = send_all(&[issue.as_slice(), &list].concat());
        assert_eq!((connection.answer().status, connection.answer().status), (201, 200));
        assert!(connection.is_closed());
        // An answer in chunks.
        let mut connection = send_all(&request("GET", "/v2alpha1/admin/backup", &[], b""));
        assert_eq!(connection.head().status, 200);
        while !connection.chunk().is_empty() {}
        for whole in [issue, verification(&key.secret)] {
            for cut in (1..whole.len()).step_by(13) {
                let mut connection = send_all(&whole[..cut]);
                if let Ok(answer) = connection.receive() {
                    assert_eq!(answer.status, 400, "{cut}");
                }
                assert!(connection.is_closed(), "{cut}");
            }
        }
        let keys = server.connect().call("GET", ISSUE, &[], b"").json();
        assert_eq!(keys["issued_api_keys"].as_array().unwrap().len(), 2, "{keys}");
        server.stop();
    }

    fn connections_close_when_asked(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        for bytes in [
            b"GET /health/alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".as_slice(),
            b"GET /health/alive HTTP/1.1\r\nHost: h\r\nConnection: Close, x\r\n\r\n",
            b"GET /health/alive HTTP/1.0\r\n\r\n",
        ] {
            let mut connection = server.connect();
            assert_eq!(connection.exchange(bytes).unwrap().status, 200);
            assert!(connection.is_closed());
        }
        let mut connection = server.connect();
        let absolute = b"GET http://h/health/alive HTTP/1.1\r\nHost: h\r\n\r\n";
        for _ in 0..2 {
            assert_eq!(connection.exchange(absolute).unwrap().status, 200);
        }
        // The server ignores an empty line before a request (RFC 9112 §2.2).
        connection.send(b"\r\n");
        assert_eq!(connection.exchange(ALIVE).unwrap().status, 200);
        server.stop();
    }

    fn continue_is_sent_when_expected(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let body = json!({"credential": key.secret}).to_string();
        let head = |expect: &str| {
            let length = body.len();
            format!("POST {VERIFY} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\nExpect: {expect}\r\n\r\n")
        };
        let interim = connection.exchange(head("100-continue").as_bytes()).unwrap();
        assert_eq!(interim.status, 100);
        assert_valid(&connection.exchange(body.as_bytes()).unwrap().json(), &key.key_id);
        assert_refused_and_closed(&server, head("something").as_bytes(), &[417]);
        server.stop();
    }
}
