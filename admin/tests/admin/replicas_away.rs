//! Which answers wait for replicas, and for which change.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use talos_api::control::{ControlResponse, Delivery, Replying};
use talos_model::CacheMode;

use crate::fleet::SingleNode;
use crate::harness::{Harness, ISSUED_KEYS, Response, Setup, UNKNOWN_ID};

const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
const IMPORTED_KEYS: &str = "/v2alpha1/admin/importedApiKeys";
const REVOKE_WHERE: &str = "/v2alpha1/admin/apiKeys:revokeWhere";

struct Away {
    fleet: Arc<SingleNode>,
    harness: Harness,
}

impl Away {
    fn new() -> Self {
        let fleet = Arc::new(SingleNode::new());
        let harness = Harness::with(Setup {
            fleet: Some(Arc::<SingleNode>::clone(&fleet)),
            ..Setup::default()
        });
        Self { fleet, harness }
    }

    /// The replicas get every change so far, and no later one.
    fn lose_replicas(&self) {
        let head = self.harness.engine.committed().sequence.0;
        self.fleet.replicas_have.store(head, Ordering::SeqCst);
    }

    fn find_replicas(&self) {
        self.fleet.replicas_have.store(u64::MAX, Ordering::SeqCst);
    }

    fn post(&self, path: &str, body: &str) -> u16 {
        self.harness.call("POST", path, body).status
    }

    fn self_revoke(&self, credential: &str) -> u16 {
        self.post(SELF_REVOKE, &json!({"credential": credential}).to_string())
    }

    fn import(&self, raw_key: &str) -> (u16, String) {
        let body = json!({"raw_key": raw_key, "name": "n", "actor_id": "a"}).to_string();
        let answer = self.harness.call("POST", IMPORTED_KEYS, &body);
        let id = answer.body["key_id"].as_str().unwrap_or_default();
        (answer.status, id.to_owned())
    }

    /// Asks for a key with this request id.
    fn ask(&self, request_id: &str) -> Response {
        let body = json!({"name": "n", "actor_id": "a", "request_id": request_id});
        self.harness.call("POST", ISSUED_KEYS, &body.to_string())
    }

    fn issue(&self, name: &str) -> (String, String) {
        self.harness.issue(&json!({"name": name, "actor_id": "a"}))
    }
}

#[test]
fn what_changes_nothing_waits_for_no_replica() {
    let away = Away::new();
    let (revoked, _) = away.issue("revoked");
    away.lose_replicas();
    let revoke = |id: &str| format!("{ISSUED_KEYS}/{id}:revoke");
    assert_eq!(away.post(&revoke(&revoked), "{}"), 503);

    for credential in ["garbage", "talos_v1_abc_def", "eyJh.e30.c2ln", ""] {
        assert_eq!(away.self_revoke(credential), 400, "{credential}");
    }
    assert_eq!(away.post(SELF_REVOKE, "{"), 400);
    assert_eq!(away.post(&revoke(UNKNOWN_ID), "{}"), 404);
    assert_eq!(away.post(&revoke("no-id"), "{}"), 404);
    assert_eq!(away.post(&revoke(UNKNOWN_ID), "["), 400);
    assert_eq!(
        away.post(&format!("{ISSUED_KEYS}/{UNKNOWN_ID}:rotate"), "{}"),
        404
    );
    assert_eq!(away.post(ISSUED_KEYS, "{}"), 400);
    let unknown = format!("{IMPORTED_KEYS}/{}", "ab".repeat(32));
    for (method, body) in [("DELETE", ""), ("PATCH", r#"{"name": "n"}"#)] {
        let answer = away.harness.call(method, &unknown, body);
        assert_eq!(answer.status, 404, "{method}");
    }
    let count = json!({"actor_id": "a", "dry_run": true}).to_string();
    assert_eq!(away.post(REVOKE_WHERE, &count), 200);
}

#[test]
fn a_repeated_request_waits_for_the_change_that_it_reports() {
    let away = Away::new();
    let (early, early_secret) = away.issue("early");
    let (late, late_secret) = away.issue("late");
    let revoke = |id: &str| away.post(&format!("{ISSUED_KEYS}/{id}:revoke"), "{}");
    let replayed = |request_id: &str| away.ask(request_id).status;
    assert_eq!(revoke(&early), 204);
    assert_eq!(replayed("early"), 201);
    let (imported, deleted) = away.import("early-raw-key");
    assert_eq!(imported, 201);

    away.lose_replicas();
    // These changes are durable here only.
    assert_eq!(revoke(&late), 503);
    assert_eq!(replayed("late"), 503);
    assert_eq!(away.import("late-raw-key").0, 503);
    for _ in 0..2 {
        assert_eq!(revoke(&late), 503);
        assert_eq!(away.self_revoke(&late_secret), 503);
        assert_eq!(replayed("late"), 503);
        assert_eq!(away.import("late-raw-key").0, 503);
        // The replicas have these.
        assert_eq!(revoke(&early), 409);
        assert_eq!(away.self_revoke(&early_secret), 204);
        assert_eq!(replayed("early"), 201);
        assert_eq!(away.import("early-raw-key").0, 409);
    }
    let delete = || {
        let path = format!("{IMPORTED_KEYS}/{deleted}");
        away.harness.call("DELETE", &path, "").status
    };
    assert_eq!((delete(), delete()), (503, 503));
    let unknown = format!("{IMPORTED_KEYS}/{}", "ab".repeat(32));
    assert_eq!(away.harness.call("DELETE", &unknown, "").status, 404);

    away.find_replicas();
    assert_eq!(delete(), 404);
    assert_eq!(revoke(&late), 409);
    assert_eq!(away.self_revoke(&late_secret), 204);
    assert_eq!(replayed("late"), 201);
    assert_eq!(away.import("late-raw-key").0, 409);
}

#[test]
fn a_key_that_a_bulk_revocation_has_ended_waits_for_it() {
    let away = Away::new();
    let (_, secret) = away.issue("one");
    away.lose_replicas();
    let all = json!({"actor_id": "a", "reason": "REVOCATION_REASON_KEY_COMPROMISE"}).to_string();
    assert_eq!(away.post(REVOKE_WHERE, &all), 503);
    for _ in 0..10 {
        assert_eq!(away.self_revoke(&secret), 503);
    }
    away.find_replicas();
    assert_eq!(away.self_revoke(&secret), 204);
}

#[test]
fn only_administrators_choose_whom_to_wait_for() {
    let away = Away::new();
    let (_, secret) = away.issue("one");
    let body = json!({"credential": secret}).to_string();
    let path = format!("{SELF_REVOKE}?wait=replicas");
    let refused = away.harness.call("POST", &path, &body);
    let message = refused.error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
    assert!(message.contains("wait"), "{message}");
    assert_eq!(away.post(SELF_REVOKE, &body), 204);
}

#[test]
fn a_secret_whose_answer_was_not_sent_comes_with_the_repetition() {
    let away = Away::new();
    away.lose_replicas();
    for _ in 0..2 {
        let refused = away.ask("once");
        let message = refused.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        for part in ["is durable on the primary", "request_id within 5 minutes"] {
            assert!(message.contains(part), "{message}");
        }
    }
    // Another request does not get it.
    let other = json!({"name": "m", "actor_id": "a", "request_id": "once"}).to_string();
    assert_eq!(away.post(ISSUED_KEYS, &other), 503);
    away.find_replicas();
    assert_eq!(away.post(ISSUED_KEYS, &other), 409);

    let answer = away.ask("once");
    assert_eq!(answer.status, 201);
    let secret = answer.body["secret"]
        .as_str()
        .expect("the secret")
        .to_owned();
    assert!(away.harness.verify(&secret, CacheMode::Use).is_ok());
    let again = away.ask("once");
    assert_eq!(
        again.body,
        json!({"issued_api_key": answer.body["issued_api_key"]}),
        "the secret was sent"
    );
    let (_, counted) = away.issue("counted");
    assert!(away.harness.verify(&counted, CacheMode::Use).is_ok());
}

#[test]
fn the_short_route_shows_an_unsent_secret_too() {
    let away = Away::new();
    away.lose_replicas();
    let body = json!({"name": "n", "request_id": "once"}).to_string();
    assert_eq!(away.post("/keys", &body), 503);
    away.find_replicas();
    let answer = away.harness.call("POST", "/keys", &body);
    assert!(answer.body["key"].is_string(), "{answer:?}");
    assert_eq!(answer.body["key"], answer.body["secret"]);
}

#[test]
fn a_request_without_an_id_learns_whose_secret_is_lost() {
    let away = Away::new();
    let (old, _) = away.issue("old");
    let rotate = format!("{ISSUED_KEYS}/{old}:rotate");
    let body = json!({"name": "new", "actor_id": "a"}).to_string();
    for path in [ISSUED_KEYS, &rotate] {
        away.lose_replicas();
        let refused = away.harness.call("POST", path, &body);
        let message = refused.error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        let (_, rest) = message
            .split_once("the secret of the key ")
            .expect("a lost secret");
        let (key_id, _) = rest.split_once(' ').expect("an id");
        let metadata = &refused.body["error"]["details"][0]["metadata"];
        assert_eq!(metadata["key_id"], key_id);
        away.find_replicas();
        let key = away.harness.get(key_id);
        assert_eq!((key.status, &key.body["name"]), (200, &json!("new")));
    }
}

/// A client that hangs up as soon as the handler runs, or when it gets the answer.
struct HangsUp;

impl Replying for HangsUp {
    fn answer(self: Box<Self>, _: ControlResponse) -> Delivery {
        Delivery::ClientGone
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[test]
fn a_client_that_hung_up_gets_the_secret_when_it_asks_again() {
    let away = Away::new();
    let body = json!({"name": "n", "actor_id": "a", "request_id": "once"}).to_string();
    away.harness.send(ISSUED_KEYS, &body, Box::new(HangsUp));
    // The change may be made after the client has gone.
    let deadline = Instant::now() + Duration::from_secs(20);
    while away.harness.engine.committed().sequence.0 == 0 {
        assert!(Instant::now() < deadline, "no key was issued");
        thread::sleep(Duration::from_millis(5));
    }
    // The request ends a moment after its change. A repetition that comes before that finds no
    // secret, and the secret stays.
    loop {
        let answer = away.ask("once");
        assert_eq!(answer.status, 201);
        if let Some(secret) = answer.body["secret"].as_str() {
            assert!(away.harness.verify(secret, CacheMode::Use).is_ok());
            break;
        }
        assert!(Instant::now() < deadline, "the secret is lost");
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(away.ask("once").body.get("secret"), None);
}
