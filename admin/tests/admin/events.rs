//! One structured log line per change, and no secret in any line.

use std::io;
use std::sync::{Mutex, Once};

use serde_json::{Value, json};

use crate::harness::{Harness, ISSUED_KEYS};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static CAPTURE: Once = Once::new();

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log lines of this process that name `key_id`, at any level. Handlers run on threads of their
/// own, so the subscriber is that of the process.
fn lines(key_id: &str) -> Vec<Value> {
    let log = String::from_utf8(LOG.lock().expect("a lock").clone()).expect("UTF-8");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .filter(|line| line["fields"]["key_id"] == key_id)
        .map(|line| line["fields"].clone())
        .collect()
}

fn capture() {
    CAPTURE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
        subscriber.with_writer(|| Log).init();
    });
}

/// The names of the events of `key_id`, in order.
fn events(key_id: &str) -> Vec<String> {
    let events = lines(key_id).into_iter();
    events
        .filter_map(|fields| fields["event"].as_str().map(ToOwned::to_owned))
        .collect()
}

#[test]
fn changes_are_logged_once_and_secrets_never() {
    capture();
    let harness = Harness::new();
    let body = json!({"name": "n", "actor_id": "a\n\"b\"", "request_id": "id-1"}).to_string();
    let issued = harness.call("POST", ISSUED_KEYS, &body);
    let key_id = issued.body["issued_api_key"]["key_id"]
        .as_str()
        .expect("an id");
    let secret = issued.body["secret"].as_str().expect("a secret");
    // None of these changes anything.
    harness.call("POST", ISSUED_KEYS, &body);
    harness.get(key_id);
    harness.revoke(key_id, r#"{"reason":"x"}"#);
    assert_eq!(harness.revoke(key_id, "").status, 204);
    assert_eq!(harness.revoke(key_id, "").status, 409);

    let expires = &harness.get(key_id).body["expire_time"];
    let event = |name: &str, path: &str, message: &str| {
        json!({
            "event": name, "key_id": key_id, "key_type": "issued", "prefix": "talos",
            "tenant": "00000000-0000-0000-0000-000000000000", "owner_id": "a\n\"b\"",
            "visibility": "KEY_VISIBILITY_SECRET", "expire_time": expires,
            "request_id": format!("request-of-{}", path.len()), "message": message,
        })
    };
    let revoke = format!("{ISSUED_KEYS}/{key_id}:revoke");
    let mut wanted = [
        event("IssuedAPIKeyCreated", ISSUED_KEYS, "an API key was issued"),
        event("IssuedAPIKeyRevoked", &revoke, "an API key was revoked"),
    ];
    wanted[1]["reason"] = json!("REVOCATION_REASON_UNSPECIFIED");
    let logged: Vec<Value> = lines(key_id)
        .into_iter()
        .filter(|fields| fields.get("event").is_some())
        .collect();
    assert_eq!(logged, wanted);

    let log = String::from_utf8(LOG.lock().expect("a lock").clone()).expect("UTF-8");
    let (_, checksum) = secret.rsplit_once('_').expect("a checksum");
    assert!(!log.contains(checksum));
}

#[test]
fn every_kind_of_change_has_its_event() {
    capture();
    let harness = Harness::new();
    let (old, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    let path = format!("{ISSUED_KEYS}/{old}");
    assert_eq!(harness.call("PATCH", &path, r#"{"name":"m"}"#).status, 200);
    assert_eq!(harness.call("PATCH", &path, r#"{"name":7}"#).status, 400);
    let rotated = harness.call("POST", &format!("{path}:rotate"), "");
    assert_eq!(rotated.status, 201);
    assert_eq!(
        harness.call("POST", &format!("{path}:rotate"), "").status,
        409
    );
    let new = rotated.body["issued_api_key"]["key_id"]
        .as_str()
        .expect("an id");
    let secret = &rotated.body["secret"];
    for _ in 0..2 {
        let body = json!({"credential": secret}).to_string();
        let answer = harness.call("POST", "/v2alpha1/apiKeys:selfRevoke", &body);
        assert_eq!(answer.status, 204);
    }
    assert_eq!(events(&old), ["IssuedAPIKeyCreated", "IssuedAPIKeyUpdated"]);
    assert_eq!(events(new), ["IssuedAPIKeyRotated", "IssuedAPIKeyRevoked"]);
    let of_new = lines(new);
    let shown_old = harness.get(&old).body;
    assert_eq!(of_new[0]["old_key_id"], old);
    assert_eq!(of_new[0]["old_expire_time"], shown_old["expire_time"]);
    assert_eq!(of_new[0].get("initiated_by"), None);
    let holder = (&of_new[1]["initiated_by"], &of_new[1]["reason"]);
    assert_eq!(
        holder,
        (&json!("self"), &json!("REVOCATION_REASON_UNSPECIFIED"))
    );

    let imports = "/v2alpha1/admin/importedApiKeys";
    let import =
        json!({"raw_key": "hush-hush", "name": "n", "actor_id": "a", "request_id": "id-1"});
    let imported = harness.call("POST", imports, &import.to_string());
    assert_eq!(imported.status, 201);
    // The clock that tells a repetition from the first has milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(2));
    let repeated = harness.call("POST", imports, &import.to_string());
    assert_eq!((repeated.status, &repeated.body), (201, &imported.body));
    let batch =
        json!({"requests": [import, {"raw_key": "hush-hush", "name": "n", "actor_id": "a"}]});
    let batch = harness.call(
        "POST",
        &format!("{imports}:batchCreate"),
        &batch.to_string(),
    );
    assert_eq!(batch.body["failure_count"], 1, "{batch:?}");
    let key_id = imported.body["key_id"].as_str().expect("an id");
    let path = format!("{imports}/{key_id}");
    assert_eq!(harness.call("PATCH", &path, r#"{"name":"m"}"#).status, 200);
    assert_eq!(
        harness.call("POST", &format!("{path}:revoke"), "").status,
        204
    );
    assert_eq!(harness.call("DELETE", &path, "").status, 204);
    assert_eq!(harness.call("DELETE", &path, "").status, 404);
    assert_eq!(
        events(key_id),
        [
            "ImportedAPIKeyCreated",
            "ImportedAPIKeyUpdated",
            "ImportedAPIKeyRevoked",
            "ImportedAPIKeyDeleted",
        ]
    );
    for line in lines(key_id) {
        let facts = (
            &line["key_type"],
            line.get("prefix"),
            line.get("expire_time"),
        );
        assert_eq!(facts, (&json!("imported"), None, None), "{line}");
    }
    let log = String::from_utf8(LOG.lock().expect("a lock").clone()).expect("UTF-8");
    assert!(log.contains("APIKeyImportFailed") && !log.contains("hush-hush"));
}

/// The lines of this process that belong to the request with this id.
fn of_request(request_id: &str) -> Vec<Value> {
    let log = String::from_utf8(LOG.lock().expect("a lock").clone()).expect("UTF-8");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines
        .map(|line| line["fields"].clone())
        .filter(|fields| fields["request_id"] == request_id)
        .collect()
}

#[test]
fn each_key_that_was_not_imported_has_its_line() {
    capture();
    let harness = Harness::new();
    let key = |raw_key: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a"});
    let requests = [
        key("one"),
        json!({"raw_key": "two"}),
        key("one"),
        key("mc_v1_three"),
    ];
    // The harness makes the id of a request from the length of its path.
    let path = "/v2alpha1/admin/importedApiKeys:batchImport";
    let body = json!({"requests": requests}).to_string();
    let batch = harness.call("POST", path, &body);
    assert_eq!(batch.body["failure_count"], 3, "{batch:?}");
    let lines = of_request(&format!("request-of-{}", path.len()));
    let failures: Vec<_> = lines
        .iter()
        .filter(|fields| fields["event"] == "APIKeyImportFailed")
        .map(|fields| (fields["index"].clone(), fields["error_code"].clone()))
        .collect();
    let code = |name: &str| json!(format!("BATCH_CREATE_IMPORTED_API_KEYS_ERROR_{name}"));
    assert_eq!(
        failures,
        [
            (json!(1), code("INVALID_ARGUMENT")),
            (json!(2), code("ALREADY_EXISTS")),
            (json!(3), code("FAILED_PRECONDITION")),
        ]
    );
    let counted = lines.iter().filter(|fields| fields["failed"] == 3);
    assert_eq!(counted.count(), 1, "{lines:?}");
}

#[test]
fn a_derived_token_has_a_line_with_its_ttl() {
    capture();
    let harness = Harness::new();
    let (key_id, secret) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    let body = json!({
        "credential": secret, "ttl": "90m", "algorithm": "TOKEN_ALGORITHM_MACAROON",
    });
    let path = "/v2alpha1/admin/apiKeys:derive";
    let derived = harness.call("POST", path, &body.to_string());
    assert_eq!(derived.status, 200, "{derived:?}");
    let lines = lines(&key_id);
    let line = lines
        .iter()
        .find(|fields| fields["event"] == "APIKeyDerivedToken")
        .expect("a line");
    assert_eq!(
        (&line["ttl"], &line["algorithm"], &line["owner_id"]),
        (&json!("5400s"), &json!("macaroon"), &json!("a"))
    );
    assert_eq!(line["token_id"], derived.body["token"]["claims"]["jti"]);
}
