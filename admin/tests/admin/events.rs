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

/// The log lines of this process that name `key_id`, at any level. Handlers run on threads of their own, so the
/// subscriber is that of the process.
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

#[test]
fn changes_are_logged_once_and_secrets_never() {
    CAPTURE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
        subscriber.with_writer(|| Log).init();
    });
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
    assert_eq!(harness.revoke(key_id, "").status, 200);
    assert_eq!(harness.revoke(key_id, "").status, 409);

    let event = |name: &str, path: &str, message: &str| {
        json!({
            "event": name, "key_id": key_id, "tenant": "00000000-0000-0000-0000-000000000000",
            "actor_id": "a\n\"b\"", "request_id": format!("request-of-{}", path.len()), "message": message,
        })
    };
    let revoke = format!("{ISSUED_KEYS}/{key_id}:revoke");
    let wanted = [
        event("IssuedAPIKeyCreated", ISSUED_KEYS, "an API key was issued"),
        event("IssuedAPIKeyRevoked", &revoke, "an API key was revoked"),
    ];
    let logged: Vec<Value> = lines(key_id)
        .into_iter()
        .filter(|fields| fields.get("event").is_some())
        .collect();
    assert_eq!(logged, wanted);

    let log = String::from_utf8(LOG.lock().expect("a lock").clone()).expect("UTF-8");
    let (_, checksum) = secret.rsplit_once('_').expect("a checksum");
    assert!(!log.contains(checksum));
}
