//! Which answers the proxy keeps in memory, and for how long. The upstream is the real server.

use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, Issued, VERIFY};

use super::{Pair, assert_accepted, assert_refused, metric, scripted, source, verify, wait_until};

#[test]
fn an_accepted_credential_is_answered_from_memory() {
    let pair = Pair::start(&[]);
    let key = pair.proxy.connect().issue("key");
    let first = verify(pair.proxy.address, &key.secret, &[]);
    assert_accepted(&first, "MISS");
    let mut ids = vec![first.header("x-request-id").unwrap().to_owned()];
    for _ in 0..3 {
        let answer = verify(pair.proxy.address, &key.secret, &[]);
        assert_accepted(&answer, "HIT");
        assert_eq!(answer.body, first.body);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("date").is_some());
        ids.push(answer.header("x-request-id").unwrap().to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "an id is of one request");
    let echoed = verify(pair.proxy.address, &key.secret, &[("X-Request-Id", "mine")]);
    assert_accepted(&echoed, "HIT");
    assert_eq!(echoed.header("x-request-id"), Some("mine"));
    pair.proxy.stop();
    pair.server.stop();
}

#[test]
fn refusals_and_errors_are_not_kept() {
    let pair = Pair::start(&[]);
    let mut connection = pair.proxy.connect();
    for _ in 0..3 {
        assert_refused(&verify(pair.proxy.address, "nobody's", &[]), "NOT_FOUND");
        let answer = connection.call("POST", VERIFY, &[], b"{}");
        answer.assert_error(400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED");
        let answer = connection.call("POST", VERIFY, &[], b"[");
        assert_eq!(answer.status, 400);
        let answer = connection.call("GET", VERIFY, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    }
    // A refused credential that becomes valid is accepted at once, also if it looks like a token.
    for raw_key in ["nobody's", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"] {
        let refused = verify(pair.proxy.address, raw_key, &[]);
        assert_eq!(refused.json()["is_valid"], false);
        let body = json!({"name": "n", "actor_id": "a", "raw_key": raw_key});
        let path = "/v2alpha1/admin/importedApiKeys";
        assert_eq!(pair.server.connect().post(path, &body).status, 201);
        for from in ["MISS", "HIT"] {
            assert_accepted(&verify(pair.proxy.address, raw_key, &[]), from);
        }
    }
    // Nor is one kept whose holder revokes it.
    let revocation = json!({"credential": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"});
    let answer = connection.post("/v2alpha1/apiKeys:selfRevoke", &revocation);
    assert!(answer.status < 300, "{answer:?}");
    let answer = verify(pair.proxy.address, "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", &[]);
    assert_refused(&answer, "REVOKED");
}

#[test]
fn no_cache_skips_the_read_and_no_store_the_write_too() {
    let pair = Pair::start(&[]);
    let mut server = pair.server.connect();
    let key = server.issue("key");
    // This change does not pass through the proxy.
    let mut rename = |actor: &str| {
        let path = format!("{ISSUE}/{}", key.key_id);
        let body = json!({"metadata": {"version": actor}}).to_string();
        let answer = server.call("PATCH", &path, &[], body.as_bytes());
        assert_eq!(answer.status, 200);
    };
    let version = |headers: &[(&str, &str)]| {
        let answer = verify(pair.proxy.address, &key.secret, headers);
        let version = answer.json()["metadata"]["version"].clone();
        (source(&answer).to_owned(), version)
    };
    let miss = |text: &str| ("MISS".to_owned(), json!(text));
    let hit = |text: &str| ("HIT".to_owned(), json!(text));
    rename("1");
    assert_eq!(version(&[]), miss("1"));
    rename("2");
    assert_eq!(version(&[]), hit("1"));
    for headers in [
        ("Cache-Control", "No-Store"),
        ("cache-control", "max-age=0, NO-STORE"),
    ] {
        assert_eq!(version(&[headers]), miss("2"));
        assert_eq!(version(&[]), hit("1"), "{headers:?} wrote");
    }
    for (index, headers) in [
        ("Cache-Control", "No-Cache"),
        ("Pragma", "NO-CACHE"),
        ("cache-control", "max-age=0,no-cache"),
    ]
    .iter()
    .enumerate()
    {
        let name = format!("refreshed {index}");
        rename(&name);
        assert_eq!(version(&[*headers]), miss(&name));
        assert_eq!(version(&[]), hit(&name), "{headers:?} did not write");
    }
}

/// The server must count every use of a key with a rate limit.
#[test]
fn a_key_with_a_rate_limit_is_not_kept() {
    let pair = Pair::start(&[]);
    let body = json!({"name": "n", "actor_id": "a", "rate_limit_policy":
        {"quota": "100", "window": "60s", "unit": "requests"}});
    let key = Issued::from(&pair.proxy.connect().post(ISSUE, &body));
    for _ in 0..3 {
        let answer = verify(pair.proxy.address, &key.secret, &[]);
        assert_accepted(&answer, "MISS");
        assert!(answer.header("ratelimit-policy").is_some());
    }
}

#[test]
fn an_answer_that_expires_within_a_second_is_not_kept() {
    let pair = Pair::start(&[]);
    let mut connection = pair.proxy.connect();
    let body = json!({"name": "n", "actor_id": "a", "ttl": "1s"});
    let key = Issued::from(&connection.post(ISSUE, &body));
    for _ in 0..3 {
        assert_eq!(
            source(&verify(pair.proxy.address, &key.secret, &[])),
            "MISS"
        );
    }
    for ttl in ["999ms", "0"] {
        let pair = Pair::start(&["--cache-ttl", ttl]);
        let key = pair.proxy.connect().issue("key");
        for _ in 0..3 {
            assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "MISS");
        }
    }
}

#[test]
fn a_change_elsewhere_is_seen_after_the_ttl() {
    let pair = Pair::start(&["--cache-ttl", "1s"]);
    let key = pair.server.connect().issue("key");
    verify(pair.proxy.address, &key.secret, &[]);
    assert_eq!(pair.server.connect().revoke(&key.key_id).status, 204);
    wait_until("refused", || {
        let answer = verify(pair.proxy.address, &key.secret, &[]);
        answer.json()["is_valid"] == false
    });
}

#[test]
fn an_answer_is_kept_no_longer_than_its_credential_lives() {
    let upstream = scripted::Scripted::start(|_| {
        let end = std::time::SystemTime::now() + std::time::Duration::from_millis(2500);
        let end = end.duration_since(std::time::UNIX_EPOCH).unwrap();
        let end = talos_model::clock::UnixMillis(i64::try_from(end.as_millis()).unwrap());
        let end = talos_api::timestamp::format(end);
        let body = format!(r#"{{"is_valid":true,"key_id":"k","expire_time":"{end}"}}"#);
        scripted::json(200, &body)
    });
    let (proxy, _directory) = upstream.proxy(&["--cache-ttl", "1h"]);
    verify(proxy.address, "x", &[]);
    wait_until("asked again", || {
        verify(proxy.address, "x", &[]);
        upstream.received().len() > 1
    });
    assert!(metric(proxy.address, "talos_proxy_cache_hits_total") > 0);
}

#[test]
fn the_cache_is_bounded_in_bytes() {
    let pair = Pair::start(&["--cache-max-size", "50000", "--cache-num-counters", "100"]);
    let mut connection = pair.proxy.connect();
    for _ in 0..200 {
        let key = connection.issue("key");
        assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "MISS");
    }
    let bytes = metric(pair.proxy.address, "talos_proxy_cache_bytes");
    let entries = metric(pair.proxy.address, "talos_proxy_cache_entries");
    assert!((10_000..=50_000).contains(&bytes), "{bytes}");
    assert!((10..100).contains(&entries), "{entries}");

    let pair = Pair::start(&["--cache-max-size", "0"]);
    let key = pair.proxy.connect().issue("key");
    for _ in 0..3 {
        assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "MISS");
    }
}

/// The proxy answers from memory even while the upstream is down.
#[test]
fn memory_needs_no_upstream() {
    let pair = Pair::start(&[]);
    let key = pair.proxy.connect().issue("key");
    assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "MISS");
    pair.server.stop();
    assert_accepted(&verify(pair.proxy.address, &key.secret, &[]), "HIT");
    let mut connection = Connection::open(pair.proxy.address);
    let answer = connection.call("POST", VERIFY, &[], br#"{"credential":"other"}"#);
    answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
}
