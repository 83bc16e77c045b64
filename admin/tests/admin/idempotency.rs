//! A repeated `request_id` returns the first key, without its secret (AIP-155).

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;

use serde_json::{Value, json};
use talos_model::CacheMode;

use crate::harness::{Harness, ISSUED_KEYS, Response};

fn request(name: &str, request_id: &str) -> String {
    json!({"name": name, "actor_id": "a", "request_id": request_id}).to_string()
}

#[test]
fn a_replay_returns_the_first_key_without_its_secret() {
    let harness = Harness::new();
    let first = harness.call("POST", ISSUED_KEYS, &request("first", "id-1"));
    assert_eq!(first.status, 201);
    let secret = first.body["secret"].as_str().expect("a secret");

    let replay = harness.call("POST", ISSUED_KEYS, &request("second", "id-1"));
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
    let replay = harness.call("POST", ISSUED_KEYS, &request("third", "id-1"));
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
