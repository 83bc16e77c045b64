//! Everything that an answer depends on is part of the key in memory, so that no client gets
//! another one's answer.

use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::VERIFY;

use super::scripted::{self, Scripted};
use super::{Pair, assert_accepted, assert_refused, source, verify};

const VALID: &str = r#"{"is_valid":true,"key_id":"k"}"#;
const IP_NOT_ALLOWED: &str =
    r#"{"is_valid":false,"error_code":"VERIFICATION_ERROR_IP_NOT_ALLOWED"}"#;

/// The upstream's answer depends on one header after the other, as with each value of
/// `client_ip_source`.
#[test]
fn answers_of_one_client_are_not_given_to_another() {
    for name in [
        "X-Forwarded-For",
        "X-Real-Ip",
        "Cf-Connecting-Ip",
        "True-Client-Ip",
    ] {
        let upstream = Scripted::start(move |request| {
            let allowed = request
                .values(name)
                .first()
                .is_some_and(|value| value.split(',').next().unwrap().trim() == "192.0.2.1");
            scripted::json(200, if allowed { VALID } else { IP_NOT_ALLOWED })
        });
        let (proxy, _directory) = upstream.proxy(&[]);
        let from = |address| verify(proxy.address, "x", &[(name, address)]);
        assert_accepted(&from("192.0.2.1"), "MISS");
        assert_accepted(&from("192.0.2.1"), "HIT");
        assert_refused(&from("192.0.2.2"), "IP_NOT_ALLOWED");
        assert_refused(&verify(proxy.address, "x", &[]), "IP_NOT_ALLOWED");
        assert_accepted(&from("192.0.2.1"), "HIT");
    }
}

#[test]
fn every_host_has_answers_of_its_own() {
    let upstream = Scripted::start(|request| {
        let known = request.values("host") == ["a.example"]
            && request.values("x-forwarded-host").is_empty();
        scripted::json(200, if known { VALID } else { IP_NOT_ALLOWED })
    });
    let (proxy, _directory) = upstream.proxy(&[]);
    let ask = |host: &str| {
        let body = r#"{"credential":"x"}"#;
        let head = format!("POST {VERIFY} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 18\r\n\r\n");
        let request = [head.as_bytes(), body.as_bytes()].concat();
        Connection::open(proxy.address).exchange(&request).unwrap()
    };
    assert_accepted(&ask("a.example"), "MISS");
    assert_accepted(&ask("a.example"), "HIT");
    assert_refused(&ask("b.example"), "IP_NOT_ALLOWED");
    assert_accepted(&ask("a.example"), "HIT");
}

#[test]
fn a_trusted_forwarded_host_is_part_of_the_question() {
    let upstream = Scripted::start(|request| {
        let known = request.values("x-forwarded-host") == ["a.example"];
        scripted::json(200, if known { VALID } else { IP_NOT_ALLOWED })
    });
    let (proxy, _directory) = upstream.proxy(&["--trust-x-forwarded-host"]);
    let ask = |host| verify(proxy.address, "x", &[("X-Forwarded-Host", host)]);
    assert_accepted(&ask("a.example"), "MISS");
    assert_accepted(&ask("a.example"), "HIT");
    assert_refused(&ask("b.example"), "IP_NOT_ALLOWED");
    assert_refused(&verify(proxy.address, "x", &[]), "IP_NOT_ALLOWED");
}

#[test]
fn expected_audiences_are_part_of_the_question() {
    let pair = Pair::start(&[]);
    let key = pair.proxy.connect().issue("key");
    assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "MISS");
    assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "HIT");
    let body = json!({"credential": key.secret, "expected_audiences": ["a"]});
    for _ in 0..2 {
        let answer = pair.proxy.connect().post(VERIFY, &body);
        assert_refused(&answer, "AUDIENCE_MISMATCH");
    }
    // An equivalent request with other bytes.
    let body = json!({"expected_audiences": [], "credential": key.secret, "more": 1});
    assert_accepted(&pair.proxy.connect().post(VERIFY, &body), "HIT");
}

#[test]
fn a_bearer_is_answered_from_memory_too() {
    let upstream = Scripted::start(|request| {
        let known = request.values("authorization") == ["Bearer x"];
        scripted::json(200, if known { VALID } else { IP_NOT_ALLOWED })
    });
    let (proxy, _directory) = upstream.proxy(&[]);
    let ask = |method: &str, path: &str, authorization: &str, body: &[u8]| {
        let headers = [("Authorization", authorization)];
        let answer = Connection::open(proxy.address).call(method, path, &headers, body);
        source(&answer).to_owned()
    };
    assert_eq!(ask("GET", "/verify", "Bearer x", b""), "MISS");
    assert_eq!(ask("GET", "/verify", "Bearer x", b""), "HIT");
    assert_eq!(ask("POST", "/verify", "bearer  x", b""), "HIT");
    assert_eq!(ask("GET", "/verify", "Bearer y", b""), "MISS");
    assert_eq!(ask("GET", "/verify", "Bearer y", b""), "MISS");
    // The body of the other route may hold more fields, so its answers are kept apart.
    assert_accepted(
        &verify(proxy.address, "x", &[("Authorization", "Bearer x")]),
        "MISS",
    );
    let asked = upstream.received().len();
    // The proxy does not interpret a query or a body here, so it asks the upstream each time.
    for _ in 0..2 {
        let headers = [("Authorization", "Bearer x")];
        let mut connection = Connection::open(proxy.address);
        assert_eq!(
            connection.call("GET", "/verify?a=b", &headers, b"").status,
            200
        );
        assert_eq!(
            connection.call("POST", "/verify", &headers, b"{}").status,
            200
        );
    }
    assert_eq!(upstream.received().len(), asked + 4);
}
