//! The server issues one key for a `request_id`, however often and from wherever it is requested
//! (AIP-155).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::site::Site;

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";

fn issue(connection: &mut Connection, request_id: &str, name: &str) -> Value {
    let body = json!({"name": name, "actor_id": "tester", "request_id": request_id});
    let answer = connection.post(ISSUE, &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

both_drivers! {
    fn a_repetition_returns_the_first_key_without_its_secret(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let first = issue(&mut connection, "request-1", "first");
        let secret = first["secret"].as_str().unwrap();
        let key_id = first["issued_api_key"]["key_id"].as_str().unwrap();

        let second = issue(&mut server.connect(), "request-1", "first");
        assert_eq!(second, json!({"issued_api_key": first["issued_api_key"]}));
        let other = issue(&mut connection, "request-2", "first");
        assert_ne!(other["issued_api_key"]["key_id"], key_id);

        assert_eq!(connection.revoke(key_id).status, 204);
        let after = issue(&mut connection, "request-1", "first");
        assert_eq!(after["issued_api_key"]["status"], "KEY_STATUS_REVOKED");
        assert!(after.get("secret").is_none());
        assert_refused(&connection.verify(secret), "REVOKED");
        server.stop();

        let server = site.start();
        let after_restart = issue(&mut server.connect(), "request-1", "first");
        assert_eq!(after_restart, after);
        server.stop();
    }

    fn another_request_with_the_id_is_a_conflict(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        issue(&mut connection, "request-1", "first");
        let body = json!({"name": "second", "actor_id": "tester", "request_id": "request-1"});
        let import = |raw_key: &str, request_id: &str| {
            json!({"raw_key": raw_key, "name": "n", "actor_id": "tester", "request_id": request_id})
        };
        let batch = |connection: &mut Connection, items: &[Value]| {
            let answer = connection.post(&format!("{IMPORT}:batchCreate"), &json!({"requests": items}));
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()
        };
        let assert_conflict = |connection: &mut Connection| {
            let answer = connection.post(ISSUE, &body);
            answer.assert_error(409, "ALREADY_EXISTS", "CONFLICT");
            let message = answer.json()["error"]["message"].to_string();
            assert!(message.contains("another name;"), "{message}");
        };
        assert_conflict(&mut connection);
        let imported = batch(&mut connection, &[import("sk-1", "r1")]);
        assert_eq!(imported["success_count"], 1);
        let mixed = batch(&mut connection, &[import("sk-2", "r1"), import("sk-3", "r3"), import("sk-1", "r1")]);
        assert_eq!((&mixed["success_count"], &mixed["failure_count"]), (&json!(2), &json!(1)));
        let message = mixed["results"][0]["error_message"].as_str().unwrap();
        assert!(message.contains("another raw_key;"), "{message}");
        assert_refused(&connection.verify("sk-2"), "NOT_FOUND");
        connection.post(IMPORT, &import("sk-2", "r1")).assert_error(409, "ALREADY_EXISTS", "CONFLICT");
        server.stop();

        let server = site.start();
        assert_conflict(&mut server.connect());
        server.stop();
    }

    fn concurrent_repetitions_make_one_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        for round in 0..10 {
            let request_id = format!("round-{round}");
            let answers: Vec<Value> = std::thread::scope(|scope| {
                let asking: Vec<_> = (0..8)
                    .map(|_| scope.spawn(|| issue(&mut server.connect(), &request_id, "key")))
                    .collect();
                asking.into_iter().map(|client| client.join().unwrap()).collect()
            });
            let ids: BTreeSet<_> = answers.iter().map(|answer| answer["issued_api_key"]["key_id"].as_str()).collect();
            assert_eq!(ids.len(), 1, "{answers:?}");
            let secrets: Vec<_> = answers.iter().filter_map(|answer| answer["secret"].as_str()).collect();
            assert_eq!(secrets.len(), 1, "one of them saw the secret: {answers:?}");
            let key_id = ids.first().copied().flatten().unwrap();
            assert_valid(&server.connect().verify(secrets[0]), key_id);
        }
        server.stop();
    }

    fn an_empty_request_id_is_none(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let (one, two) = (issue(&mut connection, "", "one"), issue(&mut connection, "", "two"));
        assert_ne!(one["issued_api_key"]["key_id"], two["issued_api_key"]["key_id"]);
        assert!(two["secret"].is_string());
        server.stop();
    }
}
