//! Clients that close their sending side, as `wget` of `BusyBox` does after its request.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

use talos_test_kit::http::{Connection, request};
use talos_test_kit::keys::{ISSUE, VERIFY};

use super::Pair;
use super::scripted::{self, Scripted};

/// Longer than the proxy would need to notice the end of the requests.
const SLOW: Duration = Duration::from_millis(1500);

/// Sends `bytes`, closes the sending side, and returns the connection.
fn send_all(address: SocketAddr, bytes: &[u8]) -> Connection {
    let mut connection = Connection::open(address);
    connection.send(bytes);
    connection.finish_sending();
    connection
}

#[test]
fn every_kind_of_request_is_answered() {
    let pair = Pair::start(&[]);
    let issue = br#"{"name": "n", "actor_id": "a"}"#;
    let unknown = br#"{"credential": "unknown"}"#;
    for (method, path, body, status) in [
        ("POST", ISSUE, &issue[..], 201),
        ("POST", VERIFY, unknown, 200),
        ("GET", ISSUE, b"", 200),
        ("GET", "/health/alive", b"", 200),
        ("GET", "/health/ready", b"", 200),
        ("GET", "/metrics", b"", 200),
        ("GET", "/version", b"", 200),
        ("GET", "/nowhere", b"", 404),
    ] {
        let mut connection = send_all(pair.proxy.address, &request(method, path, &[], body));
        assert_eq!(connection.answer().status, status, "{method} {path}");
        assert!(connection.is_closed(), "{method} {path}");
    }
    let key = pair.proxy.connect().issue("key");
    let body = serde_json::json!({"credential": key.secret}).to_string();
    for _ in 0..2 {
        let verification = request("POST", VERIFY, &[], body.as_bytes());
        let answer = send_all(pair.proxy.address, &verification).answer();
        assert_eq!(answer.json()["is_valid"], true);
    }
    pair.proxy.stop();
    pair.server.stop();
}

#[test]
fn a_slow_upstream_and_pipelined_requests_are_waited_for() {
    let upstream = Scripted::start(|request| {
        sleep(SLOW);
        scripted::json(200, &format!("{{\"line\":\"{}\"}}", request.line()))
    });
    let (proxy, _directory) = upstream.proxy(&[]);
    let requests: Vec<_> = (0..3)
        .map(|at| request("GET", &format!("/page/{at}"), &[], b""))
        .collect();
    let mut connection = send_all(proxy.address, &requests.concat());
    for at in 0..3 {
        let answer = connection.answer();
        assert_eq!(answer.json()["line"], format!("GET /page/{at} HTTP/1.1"));
    }
    assert!(connection.is_closed());
    // A client of HTTP/1.0 that sends `Connection: close` as `wget` does.
    let old = b"GET /page HTTP/1.1\r\nHost: h\r\nUser-Agent: Wget\r\nConnection: close\r\n\r\n";
    let mut connection = send_all(proxy.address, old);
    assert_eq!(connection.answer().status, 200);
    assert!(connection.is_closed());
}

#[test]
fn half_a_request_gets_400_or_nothing() {
    let pair = Pair::start(&[]);
    let issue = request("POST", ISSUE, &[], br#"{"name": "n", "actor_id": "a"}"#);
    let verification = request("POST", VERIFY, &[], br#"{"credential": "unknown"}"#);
    for whole in [issue, verification] {
        for cut in (1..whole.len()).step_by(11) {
            let mut connection = send_all(pair.proxy.address, &whole[..cut]);
            if let Ok(answer) = connection.receive() {
                assert_eq!(answer.status, 400, "{cut} {}", answer.text());
            }
            assert!(connection.is_closed(), "{cut}");
        }
    }
    let list = pair.server.connect().call("GET", ISSUE, &[], b"").json();
    assert_eq!(list["issued_api_keys"], serde_json::json!([]), "{list}");
    pair.proxy.stop();
    pair.server.stop();
}
