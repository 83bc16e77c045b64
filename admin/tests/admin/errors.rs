//! Every request that is refused, with its whole envelope.

use serde_json::json;

use crate::harness::{Harness, ISSUED_KEYS, UNKNOWN_ID};

#[test]
fn bad_bodies_name_what_is_wrong() {
    let harness = Harness::new();
    let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    let revoke = format!("{ISSUED_KEYS}/{key_id}:revoke");
    let long = "x".repeat(256);
    let table = [
        (ISSUED_KEYS, "{".to_owned(), "the body is not valid JSON"),
        (
            ISSUED_KEYS,
            "[]".to_owned(),
            "the body must be a JSON object",
        ),
        (ISSUED_KEYS, "{}{}".to_owned(), "the body is not valid JSON"),
        (ISSUED_KEYS, String::new(), "name: is required"),
        (
            ISSUED_KEYS,
            r#"{"name":5}"#.to_owned(),
            "name: must be a string, not a number",
        ),
        (
            ISSUED_KEYS,
            r#"{"name":"n"}"#.to_owned(),
            "actor_id: is required",
        ),
        (
            ISSUED_KEYS,
            format!(r#"{{"name":"{long}","actor_id":"a"}}"#),
            "name: must have at most 255 characters",
        ),
        (
            ISSUED_KEYS,
            r#"{"name":"n","actor_id":"a","ttl":"-1s"}"#.to_owned(),
            "ttl: ",
        ),
        (
            ISSUED_KEYS,
            format!(r#"{{"x":{}"#, "[".repeat(40)),
            "the body is nested deeper than 32 levels",
        ),
        (&revoke, "null".to_owned(), "the body must be a JSON object"),
        (
            &revoke,
            r#"{"reason":"superseded"}"#.to_owned(),
            "reason: must be one of REVOCATION_REASON_UNSPECIFIED",
        ),
        (
            &revoke,
            r#"{"description":"d"}"#.to_owned(),
            "description: is allowed only with",
        ),
    ];
    for (path, body, start) in table {
        let response = harness.call("POST", path, &body);
        let message = response.error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        assert!(message.starts_with(start), "{body}: {message}");
    }
    assert_eq!(harness.get(&key_id).body["status"], "KEY_STATUS_ACTIVE");
}

#[test]
fn unknown_keys_are_one_404() {
    let harness = Harness::new();
    let imported = "ab".repeat(32);
    let ids = [
        UNKNOWN_ID,
        &imported,
        "x",
        "%2f",
        "%00",
        "%zz",
        "a%2Fb",
        "..",
        &UNKNOWN_ID.to_uppercase(),
    ];
    let first = harness.get(UNKNOWN_ID);
    first.error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
    for id in ids {
        // The answers differ in the id that the request named, if it is one.
        let mut wanted = first.clone();
        wanted.body["error"]["details"][0]["metadata"] = if id.len() > 20 {
            json!({"key_id": id.to_lowercase()})
        } else {
            json!({})
        };
        assert_eq!(harness.get(id), wanted, "{id}");
        assert_eq!(harness.revoke(id, ""), wanted, "{id}");
        assert_eq!(
            harness.call("POST", &format!("/v2alpha1/admin/apiKeys/{id}:revoke"), ""),
            wanted,
            "{id}"
        );
    }
}

#[test]
fn a_second_revocation_is_refused_and_changes_nothing() {
    let harness = Harness::new();
    let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    assert_eq!(
        harness
            .revoke(&key_id, r#"{"reason":"REVOCATION_REASON_KEY_COMPROMISE"}"#)
            .status,
        204
    );
    let shown = harness.get(&key_id);
    for path in [ISSUED_KEYS, "/v2alpha1/admin/apiKeys"] {
        let body = r#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#;
        let again = harness.call("POST", &format!("{path}/{key_id}:revoke"), body);
        again.error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
    }
    assert_eq!(harness.get(&key_id), shown);
}

#[test]
fn concurrent_revocations_succeed_once() {
    let harness = Harness::new();
    let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    let path = format!("{ISSUED_KEYS}/{key_id}:revoke");
    let waiting: Vec<_> = (0..32).map(|_| harness.begin("POST", &path, "")).collect();
    let mut statuses: Vec<_> = waiting
        .into_iter()
        .map(|answer| answer.recv().expect("an answer").status)
        .collect();
    statuses.sort_unstable();
    let mut wanted = vec![409; 32];
    wanted[0] = 204;
    assert_eq!(statuses, wanted);
}

#[test]
fn unknown_routes_and_methods() {
    let harness = Harness::new();
    for path in [
        "/",
        "/version/",
        "/v2alpha1/admin/issuedApiKeys/",
        "/v2alpha1/admin/issuedApiKeys/a:rotated",
    ] {
        harness
            .call("POST", path, "")
            .error(404, "NOT_FOUND", "NOT_FOUND");
    }
    let table = [
        ("DELETE", "/version", "GET, HEAD"),
        ("PUT", ISSUED_KEYS, "GET, HEAD, POST"),
        ("GET", "/v2alpha1/admin/apiKeys/a:revoke", "POST"),
    ];
    for (method, path, allow) in table {
        let response = harness.call(method, path, "");
        response.error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        assert_eq!(response.header("Allow"), Some(allow));
    }
}

#[test]
fn what_the_data_plane_answers_is_not_answered_here() {
    let harness = Harness::new();
    harness
        .call("POST", "/v2alpha1/admin/apiKeys:verify", "{}")
        .error(404, "NOT_FOUND", "NOT_FOUND");
    harness
        .call("GET", "/health/ready", "")
        .error(404, "NOT_FOUND", "NOT_FOUND");
}

#[test]
fn a_stopped_engine_answers_503_with_retry_after() {
    let harness = Harness::new();
    harness.engine.shutdown();
    let response = harness.call("POST", ISSUED_KEYS, r#"{"name":"n","actor_id":"a"}"#);
    response.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
    assert_eq!(response.header("Retry-After"), Some("1"));
}
