//! The life of a key that another system made: import alone and in batches, show, verify, revoke,
//! delete.

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, assert_refused, assert_valid};

use crate::harness::site::Site;

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const BATCH: [&str; 2] = [
    "/v2alpha1/admin/importedApiKeys:batchCreate",
    "/v2alpha1/admin/importedApiKeys:batchImport",
];

fn import(connection: &mut Connection, raw_key: &str) -> Value {
    let body =
        json!({"raw_key": raw_key, "name": "imported", "actor_id": "tester", "scopes": ["read:*"]});
    let answer = connection.post(IMPORT, &body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

fn key_id(key: &Value) -> &str {
    key["key_id"].as_str().unwrap()
}

both_drivers! {
    fn from_import_to_deletion(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let raw_key = "sk_preview_demo_001";
        assert_refused(&connection.verify(raw_key), "NOT_FOUND");

        let mut key = import(&mut connection, raw_key);
        let nested = key.as_object_mut().unwrap().remove("imported_api_key").unwrap();
        assert_eq!(key, nested);
        assert_eq!((&key["status"], key_id(&key).len()), (&json!("KEY_STATUS_ACTIVE"), 64));
        assert!(!key.to_string().contains(raw_key));
        let path = format!("{IMPORT}/{}", key_id(&key));
        assert_eq!(connection.call("GET", &path, &[], b"").json(), key);
        let verdict = connection.verify(raw_key);
        assert_valid(&verdict, key_id(&key));
        assert_eq!(verdict["scopes"], json!(["read:*"]));

        let again = json!({"raw_key": raw_key, "name": "again", "actor_id": "other"});
        connection.post(IMPORT, &again).assert_error(409, "ALREADY_EXISTS", "API_KEY_EXISTS");
        let deleted = connection.call("DELETE", &path, &[], b"");
        assert_eq!((deleted.status, deleted.text()), (204, ""));
        assert_refused(&connection.verify(raw_key), "NOT_FOUND");
        for method in ["GET", "DELETE"] {
            connection.call(method, &path, &[], b"").assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
        }
        // A deleted key can be imported again.
        assert_eq!(key_id(&import(&mut connection, raw_key)), key_id(&key));
        assert_valid(&connection.verify(raw_key), key_id(&key));
        server.stop();

        let server = site.start();
        let mut connection = server.connect();
        assert_valid(&connection.verify(raw_key), key_id(&key));
        server.stop();
    }

    fn both_revocation_paths_end_an_imported_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for path in [IMPORT, "/v2alpha1/admin/apiKeys"] {
            let raw_key = format!("key for {path}");
            let key = import(&mut connection, &raw_key);
            assert_valid(&connection.verify(&raw_key), key_id(&key));
            let path = format!("{path}/{}:revoke", key_id(&key));
            let body = json!({"reason": "REVOCATION_REASON_KEY_COMPROMISE"});
            assert_eq!(connection.post(&path, &body).status, 204);
            assert_refused(&connection.verify(&raw_key), "REVOKED");
            connection.post(&path, &body).assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        }
        server.stop();
    }

    fn issued_and_imported_keys_have_separate_routes(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let issued = connection.issue("issued");
        let imported = import(&mut connection, "imported");
        for (method, path) in [
            ("GET", format!("{IMPORT}/{}", issued.key_id)),
            ("DELETE", format!("{IMPORT}/{}", issued.key_id)),
            ("POST", format!("{IMPORT}/{}:revoke", issued.key_id)),
            ("GET", format!("{ISSUE}/{}", key_id(&imported))),
            ("POST", format!("{ISSUE}/{}:revoke", key_id(&imported))),
        ] {
            connection.call(method, &path, &[], b"").assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
        }
        assert_valid(&connection.verify(&issued.secret), &issued.key_id);
        assert_valid(&connection.verify("imported"), key_id(&imported));
        server.stop();
    }

    fn keys_that_cannot_be_imported(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let issued = connection.issue("issued").secret;
        for raw_key in [issued.as_str(), "mc_v1_AgEB_hush"] {
            let body = json!({"raw_key": raw_key, "name": "n", "actor_id": "a"});
            connection.post(IMPORT, &body).assert_error(409, "FAILED_PRECONDITION", "FAILED_PRECONDITION");
        }
        let long = "x".repeat(8193);
        for body in [
            json!({}), json!({"raw_key": "x"}), json!({"raw_key": "", "name": "n", "actor_id": "a"}),
            json!({"raw_key": long, "name": "n", "actor_id": "a"}), json!({"raw_key": 1, "name": "n", "actor_id": "a"}),
            json!({"raw_key": "x", "name": "n".repeat(256), "actor_id": "a"}),
        ] {
            connection.post(IMPORT, &body).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        let log = server.log.clone();
        server.stop();
        let log = std::fs::read_to_string(log).unwrap();
        assert!(log.contains("APIKeyImportFailed") && !log.contains("mc_v1_AgEB_hush"), "{log}");
    }

    fn ids_that_no_imported_key_has(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let id = key_id(&import(&mut connection, "x")).to_owned();
        let ids = [
            "x", "%2f", "%2F..%2F", "%00", &format!("{id}%00"), &format!("%2f{id}"), &format!("{id}%3Arevoke"),
            &id[..63], &format!("{id}0"), "a%3Ab", "%ff", "%zz", &"a".repeat(4096),
        ];
        let shown = connection.call("GET", &format!("{IMPORT}/{}", id.to_uppercase()), &[], b"");
        assert_eq!((shown.status, shown.json()["key_id"].as_str()), (200, Some(&*id)));
        for id in ids {
            for (method, suffix) in [("GET", ""), ("DELETE", ""), ("POST", ":revoke")] {
                let path = format!("{IMPORT}/{id}{suffix}");
                connection.call(method, &path, &[], b"").assert_error(404, "NOT_FOUND", "API_KEY_NOT_FOUND");
            }
        }
        for path in [format!("{IMPORT}/a/{id}"), format!("{IMPORT}/{id}/"), format!("{IMPORT}/{id}:Revoke")] {
            connection.call("DELETE", &path, &[], b"").assert_error(404, "NOT_FOUND", "NOT_FOUND");
        }
        assert_eq!(connection.call("GET", &format!("{IMPORT}/{id}"), &[], b"").status, 200);
        server.stop();
    }

    fn a_batch_has_a_result_for_each_key(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        import(&mut connection, "known");
        let item = |raw_key: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a"});
        for (path, new) in BATCH.iter().zip(["new 1", "new 2"]) {
            let body = json!({"requests": [item("known"), item(new), item("mc_v1_x"), item(new), {"raw_key": "y"}]});
            let answer = connection.post(path, &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            let answer = answer.json();
            assert_eq!((&answer["success_count"], &answer["failure_count"]), (&json!(1), &json!(4)));
            let codes: Vec<_> = answer["results"].as_array().unwrap().iter().map(|result| &result["error_code"]).collect();
            let code = |name: &str| json!(format!("BATCH_CREATE_IMPORTED_API_KEYS_ERROR_{name}"));
            let wanted = [
                code("ALREADY_EXISTS"), Value::Null, code("FAILED_PRECONDITION"), code("ALREADY_EXISTS"),
                code("INVALID_ARGUMENT"),
            ];
            assert_eq!(codes, wanted.iter().collect::<Vec<_>>());
            assert_valid(&connection.verify(new), key_id(&answer["results"][1]["imported_api_key"]));
            for (index, result) in answer["results"].as_array().unwrap().iter().enumerate() {
                assert_eq!(result["index"], json!(index));
            }

            let failing = json!({"requests": [{"raw_key": "y"}, item("known"), item(new)]});
            connection.post(path, &failing).assert_error(409, "ALREADY_EXISTS", "API_KEY_EXISTS");
        }
        assert_refused(&connection.verify("y"), "NOT_FOUND");
        server.stop();
    }

    fn batches_have_1_to_1000_keys_and_8_mib(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let pad = "p".repeat(7000);
        let item = |index: usize| {
            json!({"raw_key": format!("key {index}"), "name": "n", "actor_id": "a", "metadata": {"pad": pad}})
        };
        let batch = |keys: usize| json!({"requests": (0..keys).map(item).collect::<Vec<_>>()});
        for keys in [0, 1001] {
            connection.post(BATCH[0], &batch(keys)).assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        assert_refused(&connection.verify("key 0"), "NOT_FOUND");
        let answer = connection.post(BATCH[0], &batch(1000));
        assert_eq!((answer.status, &answer.json()["success_count"]), (200, &json!(1000)));
        assert_eq!(connection.verify("key 999")["is_valid"], true);
        let too_large = json!({"requests": [item(0)], "pad": "p".repeat(8 << 20)});
        connection.post(BATCH[0], &too_large).assert_error(413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE");
        server.stop();
    }
}
