//! Many credentials in one request.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{Issued, assert_refused, assert_valid};

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::site::Site;

const BATCH_VERIFY: &str = "/v2alpha1/admin/apiKeys:batchVerify";

fn batch(connection: &mut Connection, credentials: &[&str], headers: &[(&str, &str)]) -> Answer {
    let requests: Vec<_> = credentials
        .iter()
        .map(|credential| json!({"credential": credential}))
        .collect();
    let body = json!({"requests": requests}).to_string();
    connection.call("POST", BATCH_VERIFY, headers, body.as_bytes())
}

fn results(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["results"].as_array().unwrap().clone()
}

both_drivers! {
    fn results_are_in_the_order_of_the_requests(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let keys: Vec<Issued> = (0..40).map(|n| connection.issue(&format!("key {n}"))).collect();
        for key in keys.iter().step_by(3) {
            assert_eq!(connection.revoke(&key.key_id).status, 204);
        }
        let mut credentials: Vec<&str> = keys.iter().map(|key| key.secret.as_str()).collect();
        credentials.push("sk_nobody_knows");
        let check = |answer: &Answer| {
            let results = results(answer);
            assert_eq!(results.len(), 41);
            for (n, (result, key)) in results.iter().zip(&keys).enumerate() {
                if n % 3 == 0 {
                    assert_refused(result, "REVOKED");
                } else {
                    assert_valid(result, &key.key_id);
                }
            }
            assert_refused(&results[40], "NOT_FOUND");
        };
        check(&batch(&mut connection, &credentials, &[]));
        let skipped = batch(&mut connection, &credentials, &[("Cache-Control", "no-cache")]);
        check(&skipped);
        assert_eq!(skipped.header("ory-talos-cache"), Some("SKIP"));
        let known = batch(&mut connection, &credentials[..40], &[]);
        assert_eq!(known.header("ory-talos-cache"), Some("HIT"));
        server.stop();

        // After a restart the records are on disk, and not in memory.
        let server = site.start();
        let mut connection = server.connect();
        let read = batch(&mut connection, &credentials, &[]);
        check(&read);
        assert_eq!(read.header("ory-talos-cache"), Some("MISS"));
        check(&batch(&mut connection, &credentials, &[]));
        assert_valid(&connection.verify(&keys[1].secret), &keys[1].key_id);
        server.stop();
    }

    fn invalid_batches_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let too_many = vec!["a"; 101];
        for credentials in [&[][..], &too_many] {
            batch(&mut connection, credentials, &[]).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        for body in [r#"{"requests":{}}"#, r#"{"requests":7}"#, "[]", r#"{"requests":[{]}"#] {
            let refused = connection.call("POST", BATCH_VERIFY, &[], body.as_bytes());
            refused.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        let wrong_method = connection.call("GET", BATCH_VERIFY, &[], b"");
        wrong_method.assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        assert_eq!(results(&batch(&mut connection, &["a"; 100], &[])).len(), 100);
        server.stop();
    }
}

both_drivers! {
    fn a_bad_request_spoils_no_other(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let good = json!({"credential": key.secret});
        let bad = [
            json!({"credential": ""}),
            json!({}),
            json!({"credential": "a".repeat(9000)}),
            json!({"credential": 7}),
            json!({"credential": "a", "expected_audiences": [7]}),
            json!(7),
            json!(null),
            json!([]),
            json!("a"),
        ];
        let mixed: Vec<_> = bad.iter().flat_map(|bad| [&good, bad]).collect();
        let body = json!({"requests": mixed}).to_string();
        for _ in 0..2 {
            let answer = connection.call("POST", BATCH_VERIFY, &[], body.as_bytes());
            for (place, result) in results(&answer).iter().enumerate() {
                if place % 2 == 0 {
                    assert_valid(result, &key.key_id);
                } else {
                    assert_refused(result, "INVALID_FORMAT");
                    let message = result["error_message"].as_str().unwrap();
                    assert!(message.starts_with(&format!("requests[{place}]")), "{message}");
                }
            }
            assert_eq!(results(&answer).len(), 2 * bad.len());
        }
        // The records of the others are read from disk.
        server.stop();
        let server = site.start();
        let mut connection = server.connect();
        let headers = [("Cache-Control", "no-store")];
        let answer = connection.call("POST", BATCH_VERIFY, &headers, body.as_bytes());
        assert_valid(&results(&answer)[2], &key.key_id);
        assert_refused(&results(&answer)[3], "INVALID_FORMAT");
        server.stop();
    }
}

#[test]
fn the_exit_code_tells_whether_all_are_valid() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut connection = server.connect();
    let keys = [connection.issue("a"), connection.issue("b")];
    let secrets = keys.each_ref().map(|key| key.secret.as_str());
    let batch = |more: &[&str]| talos(server.address, &[&["keys", "batch-verify"], more].concat());

    let table = batch(&secrets);
    let lines: Vec<&str> = table.succeeded().lines().collect();
    assert!(lines[0].starts_with("IS_VALID"), "{lines:?}");
    assert!(
        lines[1].contains(&keys[0].key_id) && lines[2].contains(&keys[1].key_id),
        "{lines:?}"
    );

    connection.revoke(&keys[0].key_id);
    let json = batch(&[secrets[0], secrets[1], "--no-cache", "--format", "json"]);
    assert_eq!(json.code, Some(0), "{json:?}");
    let results: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_refused(&results["results"][0], "REVOKED");
    assert_valid(&results["results"][1], &keys[1].key_id);
    let strict = |credentials: &[&str]| {
        batch(&[credentials, &["--fail-on-invalid", "--no-cache"]].concat()).code
    };
    assert_eq!(strict(&secrets), Some(1));
    assert_eq!(strict(&secrets[1..]), Some(0));
    assert_eq!(batch(&[]).code, Some(2));
    server.stop();
}
