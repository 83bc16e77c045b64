//! The server issues one key for a `request_id`, however often and from wherever it is requested
//! (AIP-155).

use std::collections::BTreeSet;

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::site::Site;

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

        let second = issue(&mut server.connect(), "request-1", "other words");
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
