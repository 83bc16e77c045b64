//! Which values of `Host` the proxy serves.

use talos_test_kit::http::{Answer, Connection};

use crate::harness::heads::{malformed_hosts, malformed_targets};

use super::scripted::{self, Scripted};

fn ask(proxy: std::net::SocketAddr, lines: &str) -> Answer {
    let request = format!("GET /version HTTP/1.1\r\n{lines}\r\n");
    Connection::open(proxy)
        .exchange(request.as_bytes())
        .unwrap()
}

#[test]
fn a_foreign_host_is_refused() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&["--allowed-hosts", "a.example, B.example:80,::1"]);
    for host in ["a.example", "A.EXAMPLE:8080", "b.example", "[::1]:8080"] {
        assert_eq!(
            ask(proxy.address, &format!("Host: {host}\r\n")).status,
            200,
            "{host}"
        );
    }
    let served = upstream.received().len();
    for host in [
        "c.example",
        "x.a.example",
        "a.example.",
        "localhost",
        "[::2]",
    ] {
        let answer = ask(proxy.address, &format!("Host: {host}\r\n"));
        answer.assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
    }
    // A header from an untrusted client has no effect.
    let lines = "Host: c.example\r\nX-Forwarded-Host: a.example\r\n";
    assert_eq!(ask(proxy.address, lines).status, 403);
    assert_eq!(
        upstream.received().len(),
        served,
        "a refused request went on"
    );
    // Health checks and scrapes use an address as the host.
    for path in ["/health/alive", "/health/ready", "/metrics"] {
        let answer = Connection::open(proxy.address).call("GET", path, &[], b"");
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn without_a_list_every_host_is_served() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    assert_eq!(ask(proxy.address, "Host: anything.example\r\n").status, 200);
}

#[test]
fn the_first_forwarded_host_decides_when_it_is_trusted() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let arguments = ["--allowed-hosts", "a.example", "--trust-x-forwarded-host"];
    let (proxy, _directory) = upstream.proxy(&arguments);
    for (lines, status) in [
        (
            "Host: h\r\nX-Forwarded-Host: A.example:1, b.example\r\n",
            200,
        ),
        ("Host: h\r\nX-Forwarded-Host: b.example, a.example\r\n", 403),
        ("Host: a.example\r\nX-Forwarded-Host: b.example\r\n", 403),
        ("Host: a.example\r\n", 200),
        ("Host: h\r\n", 403),
    ] {
        assert_eq!(ask(proxy.address, lines).status, status, "{lines}");
    }
    let first = &upstream.received()[0];
    assert_eq!(first.values("x-forwarded-host"), ["A.example:1, b.example"]);
    assert_eq!(first.values("host"), ["h"]);
}

#[test]
fn a_forwarded_host_that_is_not_trusted_does_not_reach_the_upstream() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    let lines = "Host: h\r\nX-Forwarded-Host: other\r\n";
    assert_eq!(ask(proxy.address, lines).status, 200);
    assert!(upstream.received()[0].values("x-forwarded-host").is_empty());
}

#[test]
fn a_request_is_for_exactly_one_host() {
    let upstream = Scripted::start(|_| scripted::json(200, "{}"));
    let (proxy, _directory) = upstream.proxy(&[]);
    for lines in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host:\r\n"] {
        let answer = ask(proxy.address, lines);
        answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
    }
    for path in ["/version", "/health/alive", "/health/ready", "/metrics"] {
        for head in malformed_hosts(path) {
            let answer = Connection::open(proxy.address).exchange(head.as_bytes());
            answer
                .unwrap()
                .assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        for head in malformed_targets(path) {
            let answer = Connection::open(proxy.address).exchange(head.as_bytes());
            assert_eq!(answer.unwrap().status, 400, "{head}");
        }
    }
    assert!(upstream.received().is_empty());
    // The host of an absolute target replaces the header.
    let request = b"GET http://b.example/version HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = Connection::open(proxy.address).exchange(request).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.received()[0].values("host"), ["b.example"]);
    assert_eq!(upstream.received()[0].line(), "GET /version HTTP/1.1");
}
