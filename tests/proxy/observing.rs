//! What the proxy counts and logs, and what it must not reveal.

use std::fs;

use serde_json::json;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::VERIFY;

use super::{Pair, command, metric, verify};
use crate::harness::Driver;
use crate::harness::site::{Server, Site};

#[test]
fn everything_is_counted() {
    let pair = Pair::start(&[]);
    let proxy = pair.proxy.address;
    let count = |sample: &str| metric(proxy, &format!("talos_proxy_{sample}"));
    let ok = "upstream_requests_total{status=\"200\"}";
    let created = "upstream_requests_total{status=\"201\"}";
    let (ok_before, latency_before) = (count(ok), count("upstream_latency_seconds_count"));
    let key = pair.proxy.connect().issue("key");
    for _ in 0..4 {
        verify(proxy, &key.secret, &[]);
    }
    verify(proxy, &key.secret, &[("Cache-Control", "no-store")]);
    assert_eq!(count("cache_hits_total"), 3);
    assert_eq!(count("cache_misses_total"), 2);
    assert_eq!((count(ok) - ok_before, count(created)), (2, 1));
    assert_eq!(count("upstream_latency_seconds_count") - latency_before, 3);
    let durations = |cached: &str, suffix: &str| {
        count(&format!(
            "request_duration_seconds{suffix}{{cached=\"{cached}\"}}"
        ))
    };
    assert_eq!(durations("true", "_count"), 3);
    assert_eq!(durations("false", "_count"), 3);
    assert_eq!(
        count("request_duration_seconds_bucket{cached=\"true\",le=\"+Inf\"}"),
        3
    );
    assert_eq!(count("cache_entries"), 1);
    let answer = Connection::open(proxy).call("GET", "/metrics", &[], b"");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let page = String::from_utf8(answer.body).unwrap();
    assert!(!page.contains(&key.secret) && !page.contains(&key.key_id));
}

/// Runs at the most verbose level.
#[test]
fn no_secret_is_in_the_log() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut command = command(&format!("http://{}", server.address), &[]);
    command.env("TALOS_LOG_LEVEL", "trace");
    let proxy = Server::start(command, site.directory().join("proxy.log"));
    let key = proxy.connect().issue("key");
    let secret = key.secret.as_str();
    let mut connection = proxy.connect();
    for _ in 0..2 {
        verify(proxy.address, secret, &[("X-Request-Id", "traced")]);
        let bearer = format!("Bearer {secret}");
        connection.call("GET", "/verify", &[("Authorization", &bearer)], b"");
        connection.call("GET", &format!("/{secret}?key={secret}"), &[], b"");
    }
    connection.post(
        "/v2alpha1/admin/apiKeys:batchVerify",
        &json!({"requests": [{"credential": secret}]}),
    );
    connection.post(
        "/v2alpha1/apiKeys:selfRevoke",
        &json!({"credential": secret}),
    );
    server.stop();
    connection.post(VERIFY, &json!({"credential": secret}));
    let log = proxy.log.clone();
    proxy.stop();
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("\"traced\"") && log.contains("gave no answer"),
        "{log}"
    );
    let middle = &secret[10..30];
    assert!(!log.contains(middle), "{log}");
}
