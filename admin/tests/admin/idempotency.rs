//! A repeated `request_id` returns the first key, without its secret (AIP-155).

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use talos_model::CacheMode;

use crate::harness::{Harness, ISSUED_KEYS, Response, Setup};

fn request(name: &str, request_id: &str) -> String {
    json!({"name": name, "actor_id": "a", "request_id": request_id}).to_string()
}

#[test]
fn a_replay_returns_the_first_key_without_its_secret() {
    let harness = Harness::new();
    let first = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    assert_eq!(first.status, 201);
    let secret = first.body["secret"].as_str().expect("a secret");

    let replay = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    assert_eq!(replay.status, 201);
    assert_eq!(
        replay.body,
        json!({"issued_api_key": first.body["issued_api_key"]})
    );

    let other = harness.call("POST", ISSUED_KEYS, &request("first", "id-2"));
    assert_ne!(
        other.body["issued_api_key"]["key_id"],
        first.body["issued_api_key"]["key_id"]
    );
    assert!(other.body["secret"].is_string());

    let harness = harness.restart();
    let replay = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    assert_eq!(
        replay.body,
        json!({"issued_api_key": first.body["issued_api_key"]})
    );
    assert!(harness.verify(secret, CacheMode::Use).is_ok());
}

#[test]
fn a_replay_shows_the_key_as_it_is_now() {
    let harness = Harness::new();
    let first = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    let key_id = first.body["issued_api_key"]["key_id"]
        .as_str()
        .expect("an id");
    assert_eq!(harness.revoke(key_id, "").status, 204);
    let replay = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    assert_eq!(replay.body["issued_api_key"], harness.get(key_id).body);
    assert_eq!(
        replay.body["issued_api_key"]["status"],
        "KEY_STATUS_REVOKED"
    );
}

#[test]
fn concurrent_requests_of_one_id_make_one_key() {
    let harness = Harness::new();
    for round in 0..20 {
        let body = request("n", &format!("round-{round}"));
        let waiting: Vec<Receiver<_>> = (0..32)
            .map(|_| harness.begin("POST", ISSUED_KEYS, &body))
            .collect();
        let answers: Vec<Response> = waiting
            .into_iter()
            .map(|answer| answer.recv().expect("an answer").into())
            .collect();
        assert!(answers.iter().all(|answer| answer.status == 201));
        let ids: BTreeSet<_> = answers
            .iter()
            .map(|answer| answer.body["issued_api_key"]["key_id"].to_string())
            .collect();
        assert_eq!(ids.len(), 1);
        let secrets: Vec<&Value> = answers
            .iter()
            .filter_map(|answer| answer.body.get("secret"))
            .collect();
        assert_eq!(secrets.len(), 1);
        let secret = secrets[0].as_str().expect("a secret");
        assert!(harness.verify(secret, CacheMode::Use).is_ok());
    }
}

const IMPORTED_KEYS: &str = "/v2alpha1/admin/importedApiKeys";

/// A body of a request with this id, and with further fields.
fn with(request_id: &str, more: &Value) -> String {
    let mut body = json!({"name": "n", "actor_id": "a", "request_id": request_id});
    let members = body.as_object_mut().expect("an object");
    members.extend(more.as_object().expect("an object").clone());
    body.to_string()
}

#[track_caller]
fn assert_reused(answer: &Response, field: &str) {
    let message = answer.error(409, "ALREADY_EXISTS", "CONFLICT");
    let metadata = &answer.body["error"]["details"][0]["metadata"];
    assert_eq!(metadata["field"], field);
    assert!(metadata["key_id"].is_string(), "{metadata}");
    assert!(
        message.starts_with("request_id: ") && message.contains(&format!("another {field};")),
        "{message}"
    );
}

#[test]
fn another_request_with_the_id_is_a_conflict() {
    let first = json!({
        "scopes": ["r", "w"], "metadata": {"a": 1}, "ttl": "1h",
        "rate_limit_policy": {"quota": "100", "window": "60s"},
        "ip_restriction": {"allowed_cidrs": ["10.0.0.0/8"]},
    });
    let others = [
        ("name", json!("m")),
        ("actor_id", json!("b")),
        ("scopes", json!(["r"])),
        ("scopes", json!([])),
        ("metadata", json!({"a": 2})),
        ("visibility", json!("KEY_VISIBILITY_PUBLIC")),
        ("ttl", json!("2h")),
        ("ttl", Value::Null),
        (
            "rate_limit_policy",
            json!({"quota": "101", "window": "60s"}),
        ),
        ("rate_limit_policy", Value::Null),
        ("ip_restriction", json!({"allowed_cidrs": ["10.0.0.0/9"]})),
        ("ip_restriction", json!({})),
    ];
    let harness = Harness::with(Setup {
        public_prefix: Some("pub".to_owned()),
        ..Setup::default()
    });
    let raw = json!({"raw_key": "sk-1"});
    for (path, raw_key) in [(ISSUED_KEYS, json!({})), (IMPORTED_KEYS, raw)] {
        let mut body = first.clone();
        let members = body.as_object_mut().expect("an object");
        members.extend(raw_key.as_object().expect("an object").clone());
        assert_eq!(harness.call("POST", path, &with("r", &body)).status, 201);
        let last = harness.engine.committed();
        for (field, value) in &others {
            let mut other = body.clone();
            other[field] = value.clone();
            assert_reused(&harness.call("POST", path, &with("r", &other)), field);
        }
        let again = harness.call("POST", path, &with("r", &body));
        assert_eq!((again.status, harness.engine.committed()), (201, last));
    }
    let other = json!({"raw_key": "sk-2"});
    let answer = harness.call("POST", IMPORTED_KEYS, &with("r", &other));
    assert_reused(&answer, "raw_key");
    // The short route shares the ids of the long one.
    let short = harness.call(
        "POST",
        "/keys",
        &with("r", &json!({"permissions": ["r", "w"]})),
    );
    assert_reused(&short, "metadata");
}

#[test]
fn other_spellings_are_the_same_request() {
    let harness = Harness::new();
    let first = with(
        "r",
        &json!({
            "scopes": ["a", "b"], "ttl": "1h", "metadata": {"n": 1, "t": "x"},
            "rate_limit_policy": {"quota": "100", "window": "60s"},
            "ip_restriction": {"allowed_cidrs": ["10.0.0.0/8"]},
        }),
    );
    let first = harness.call("POST", ISSUED_KEYS, &first);
    assert_eq!(first.status, 201);
    let other = r#" { "requestId" : "r", "actorId" : "a", "name" : "\u006e", "scopes" : ["b","a"],
        "ttl" : "3600s", "metadata" : {"t":"\u0078","n":1.0}, "visibility" : 1,
        "rateLimitPolicy" : {"window":"1m","quota":1e2,"unit":"requests"},
        "ipRestriction" : {"allowedCidrs":["10.9.9.9/8"]}, "somethingElse": [] }"#;
    let again = harness.call("POST", ISSUED_KEYS, other);
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(
        again.body,
        json!({"issued_api_key": first.body["issued_api_key"]})
    );
}

#[test]
fn in_a_batch_the_other_items_keep_their_results() {
    let harness = Harness::new();
    let item = |raw_key: &str, request_id: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a", "request_id": request_id});
    let import = |items: Value| {
        let path = format!("{IMPORTED_KEYS}:batchCreate");
        harness.call("POST", &path, &json!({"requests": items}).to_string())
    };
    let first = import(json!([item("one", "r1"), item("two", "r2")]));
    assert_eq!(
        (first.status, &first.body["success_count"]),
        (200, &json!(2))
    );
    let answer = import(json!([
        item("one", "r1"),
        item("three", "r2"),
        item("four", "r4")
    ]));
    assert_eq!(answer.status, 200);
    let [success, failure] = ["success_count", "failure_count"].map(|name| &answer.body[name]);
    assert_eq!((success, failure), (&json!(2), &json!(1)), "{answer:?}");
    let refused = &answer.body["results"][1];
    assert_eq!(
        refused["error_code"],
        "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS"
    );
    let message = refused["error_message"].as_str().expect("a message");
    assert!(message.contains("another raw_key;"), "{message}");
    assert!(harness.verify("four", CacheMode::Use).is_ok());
    assert!(harness.verify("three", CacheMode::Use).is_err());
    // One item alone is refused as a request for it would be.
    let alone = import(json!([item("three", "r2")]));
    let message = alone.error(409, "ALREADY_EXISTS", "CONFLICT");
    assert!(message.contains("another raw_key;"), "{message}");
}
