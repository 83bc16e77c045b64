//! What the control plane notes in the audit log, and what it refuses without one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use talos_api::audit::{AuditLog, Blocked, Entry, NotWritten, Notice, Place, Written};

use crate::harness::{Harness, ISSUED_KEYS, Setup, UNKNOWN_ID};

/// A log in memory, which can be told to fail.
#[derive(Debug, Default)]
pub struct Notes(Arc<Pages>);

#[derive(Debug, Default)]
struct Pages {
    entries: Mutex<Vec<Entry>>,
    notices: Mutex<Vec<Entry>>,
    is_blocked: AtomicBool,
    is_broken: AtomicBool,
}

struct Reserved(Arc<Pages>);

impl Place for Reserved {
    fn fill(self: Box<Self>, entry: Entry, written: Written) {
        self.0.entries.lock().expect("a lock").push(entry);
        let is_broken = self.0.is_broken.load(Ordering::Relaxed);
        // From another thread, as the real one answers.
        std::thread::spawn(move || written(if is_broken { Err(NotWritten) } else { Ok(()) }));
    }

    fn release(self: Box<Self>) {}
}

impl AuditLog for Notes {
    fn reserve(&self) -> Result<Box<dyn Place>, Blocked> {
        if self.0.is_blocked.load(Ordering::Relaxed) {
            return Err(Blocked);
        }
        Ok(Box::new(Reserved(Arc::clone(&self.0))))
    }

    fn note(&self, notice: Notice, entry: &mut dyn FnMut() -> Entry) {
        assert_eq!(notice, Notice::Request);
        self.0.notices.lock().expect("a lock").push(entry());
    }
}

fn with_notes() -> (Harness, Arc<Pages>) {
    let pages = Arc::new(Pages::default());
    let setup = Setup {
        audit: Some(Arc::new(Notes(Arc::clone(&pages)))),
        ..Setup::default()
    };
    (Harness::with(setup), pages)
}

fn entries(pages: &Pages) -> Vec<Entry> {
    std::mem::take(&mut *pages.entries.lock().expect("a lock"))
}

#[test]
fn reads_changes_and_refusals_are_noted_and_documents_are_not() {
    let (harness, pages) = with_notes();
    let (id, secret) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    harness.get(&id);
    harness.get(UNKNOWN_ID);
    harness.call("GET", ISSUED_KEYS, "");
    harness.call("POST", ISSUED_KEYS, "{");
    harness.revoke(&id, "{}");
    harness.call("GET", "/v2alpha1/derivedKeys/jwks.json", "");
    harness.call("GET", "/version", "");
    let entries = entries(&pages);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.method, entry.status, entry.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("POST", 201, None),
            ("GET", 200, None),
            ("GET", 404, Some("API_KEY_NOT_FOUND")),
            ("GET", 200, None),
            ("POST", 400, Some("BAD_REQUEST")),
            ("POST", 204, None),
        ]
    );
    let created: Vec<_> = entries[0].key_ids.iter().map(ToString::to_string).collect();
    assert_eq!(created, [id.as_str()]);
    assert_eq!(entries[0].position, "1.1".parse().ok());
    assert_eq!(entries[5].position, "1.2".parse().ok());
    assert!(entries[1..5].iter().all(|entry| entry.position.is_none()));
    assert!(!format!("{entries:?}").contains(&secret));
}

#[test]
fn a_holder_is_noted_once_and_may_not_flood_the_log() {
    let (harness, pages) = with_notes();
    let (id, secret) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    entries(&pages);
    let path = "/v2alpha1/apiKeys:selfRevoke";
    let body = json!({ "credential": secret }).to_string();
    for _ in 0..3 {
        assert_eq!(harness.call("POST", path, &body).status, 204);
    }
    let unknown = json!({"credential": "unknown"}).to_string();
    assert_eq!(harness.call("POST", path, &unknown).status, 400);
    let noted = entries(&pages);
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0].key_ids[0].to_string(), id);
    assert_eq!(noted[0].position, "1.2".parse().ok());
    assert_eq!(pages.notices.lock().expect("a lock").len(), 3);
}

#[test]
fn nothing_is_done_while_the_log_takes_no_entries() {
    let (harness, pages) = with_notes();
    let (id, secret) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    pages.is_blocked.store(true, Ordering::Relaxed);
    let holder = json!({ "credential": secret }).to_string();
    for (method, path, body) in [
        (
            "POST",
            ISSUED_KEYS.to_owned(),
            r#"{"name":"n","actor_id":"a"}"#,
        ),
        ("GET", ISSUED_KEYS.to_owned(), ""),
        ("POST", format!("{ISSUED_KEYS}/{id}:revoke"), "{}"),
        (
            "POST",
            "/v2alpha1/apiKeys:selfRevoke".to_owned(),
            holder.as_str(),
        ),
    ] {
        let refused = harness.call(method, &path, body);
        let message = refused.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert!(message.contains("nothing was done"), "{message}");
        assert_eq!(refused.header("Retry-After"), Some("1"));
    }
    // Documents and health do not need the log.
    assert_eq!(harness.call("GET", "/version", "").status, 200);
    pages.is_blocked.store(false, Ordering::Relaxed);
    assert_eq!(harness.get(&id).body["status"], "KEY_STATUS_ACTIVE");
    let list = harness.call("GET", ISSUED_KEYS, "");
    assert_eq!(
        list.body["issued_api_keys"].as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn an_answer_without_its_entry_says_what_was_done() {
    let (harness, pages) = with_notes();
    let (id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    pages.is_broken.store(true, Ordering::Relaxed);
    let revoked = harness.revoke(&id, "{}");
    let message = revoked.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
    assert!(message.contains("is not undone"), "{message}");
    let refused = harness.revoke(UNKNOWN_ID, "{}");
    let message = refused.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
    assert!(message.contains("was refused"), "{message}");
    pages.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(harness.get(&id).body["status"], "KEY_STATUS_REVOKED");
}
