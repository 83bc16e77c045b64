//! Replicas apply the changes of their primary, answer verifications themselves and forward writes.

use serde_json::{Value, json};
use talos_test_kit::keys::ISSUE;

use super::node::{Node, Place, await_equal};

/// A primary and a replica of it, both ready.
fn pair(place: &Place) -> (Node, Node) {
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    (primary, replica)
}

#[test]
fn a_replica_verifies_and_lists_itself_and_forwards_writes() {
    let place = Place::new();
    let (primary, replica) = pair(&place);
    let issued = primary.try_issue("one").expect(201);
    assert_eq!(issued.header("Talos-Forwarded-To"), None);
    let (key, position) = (super::node::key_of(&issued), issued.position());
    assert!(replica.accepts_at(&key, &position));
    let list = replica.ask("GET", ISSUE, &Value::Null).expect(200);
    assert_eq!(list.body["issued_api_keys"].as_array().unwrap().len(), 1);

    let revoked = replica.revoke(&key);
    assert_eq!(
        revoked.header("Talos-Forwarded-To"),
        Some(&*primary.url()),
        "{revoked:?}"
    );
    assert!(!primary.accepts(&key));
    assert!(!replica.accepts_at(&key, &revoked.position()));
    let again = replica.try_revoke(&key, "").expect(409);
    assert!(again.message().contains("already revoked"), "{again:?}");

    let other = replica.issue("two");
    let body = json!({"credential": other.secret});
    let own = replica.ask("POST", "/v2alpha1/apiKeys:selfRevoke", &body);
    assert_eq!(own.header("Talos-Forwarded-To"), Some(&*primary.url()));
    assert!(!replica.accepts_at(&other, &own.expect(204).position()));
    await_equal(&primary, &replica);
}

#[test]
fn the_holder_of_a_key_revokes_it_through_any_node_and_from_any_address() {
    let place = Place::new();
    let (primary, replica) = pair(&place);
    let restriction = json!({"allowed_cidrs": ["192.0.2.0/24"]});
    let body = json!({"name": "n", "actor_id": "a", "ip_restriction": restriction});
    let key = super::node::key_of(&primary.ask("POST", ISSUE, &body).expect(201));
    assert!(!primary.accepts(&key), "not from here");
    let body = json!({"credential": key.secret});
    let revoked = replica.ask("POST", "/v2alpha1/apiKeys:selfRevoke", &body);
    assert_eq!(revoked.header("Talos-Forwarded-To"), Some(&*primary.url()));
    revoked.expect(204);
    let path = format!("{ISSUE}/{}", key.id);
    let read = primary.ask("GET", &path, &Value::Null).expect(200);
    assert_eq!(read.body["status"], "KEY_STATUS_REVOKED");
}

#[test]
fn a_replica_without_a_primary_goes_on_and_reports_when_it_is_stale() {
    let place = Place::new();
    let (mut primary, replica) = pair(&place);
    let issued = primary.try_issue("one").expect(201);
    let key = super::node::key_of(&issued);
    assert!(replica.accepts_at(&key, &issued.position()));
    primary.kill();
    // The kernel may accept connections for a moment after the process was killed.
    let refused = replica.until("a refusal", |replica| {
        let refused = replica.try_issue("two");
        assert!(matches!(refused.status, 502 | 503), "{refused:?}");
        (refused.status == 503).then_some(refused)
    });
    assert!(
        refused.message().contains("cannot be reached"),
        "{refused:?}"
    );
    let unready = replica.until("staleness", |replica| {
        let ready = replica.ask("GET", "/health/ready", &Value::Null);
        (ready.status == 503).then_some(ready)
    });
    assert!(!unready.message().contains("up to date"), "{unready:?}");
    let reason = replica.reason();
    assert!(reason.contains("up to date"), "{reason}");
    assert!(replica.accepts(&key), "verification goes on");
    let beyond = replica.verify_with(&key, &[("Talos-Min-Position", "1.999")]);
    assert_eq!(beyond.expect(503).header("Retry-After"), Some("1"));

    primary.start_ready();
    let second = primary.try_issue("two").expect(201);
    assert!(replica.accepts_at(&super::node::key_of(&second), &second.position()));
    replica.until("readiness", |replica| replica.is_ready().then_some(()));
    await_equal(&primary, &replica);
}

#[test]
fn a_replica_that_starts_again_goes_on_from_its_position() {
    let place = Place::new();
    let (primary, mut replica) = pair(&place);
    let first = primary.try_issue("one").expect(201);
    assert!(replica.accepts_at(&super::node::key_of(&first), &first.position()));
    let name = replica.status()["node_id"].clone();
    for stop in [Node::stop, Node::kill] {
        stop(&mut replica);
        let missed = primary.try_issue("missed").expect(201);
        replica.start_ready();
        assert!(replica.accepts_at(&super::node::key_of(&missed), &missed.position()));
        assert!(
            !replica.log().contains("copying everything"),
            "changes alone were needed:\n{}",
            replica.log()
        );
        assert_eq!(replica.status()["node_id"], name);
    }
    await_equal(&primary, &replica);
}

#[test]
fn the_status_shows_both_sides() {
    let place = Place::new();
    let (primary, replica) = pair(&place);
    let last = primary.try_issue("one").expect(201).position();
    let status = primary.until("acknowledgement", |primary| {
        let status = primary.status();
        (status["replicas"][0]["position"] == json!(last)).then_some(status)
    });
    let of_replica = replica.status();
    assert_eq!(status["role"], "primary");
    assert_eq!(status["position"], json!(last));
    assert_eq!(status["replicas"].as_array().unwrap().len(), 1);
    let fed = &status["replicas"][0];
    assert_eq!(fed["node_id"], of_replica["node_id"]);
    assert_eq!(fed["state"], "following");
    assert_eq!(
        (&fed["lag_changes"], &fed["lag_ms"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(of_replica["role"], "replica");
    assert_eq!(of_replica["ready"], json!(true));
    let link = &of_replica["primary"];
    assert_eq!(link["node_id"], status["node_id"]);
    assert_eq!(link["state"], "following");
    assert_eq!(link["diverged"], json!(false));
    assert!(link["lag_ms"].as_u64().is_some());
}

#[test]
fn a_use_on_a_replica_is_known_to_the_primary() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica
        .follow(&primary)
        .set("LAST_USED_FLUSH_INTERVAL", "1s")
        .start_ready();
    let issued = primary.try_issue("one").expect(201);
    let key = super::node::key_of(&issued);
    assert!(replica.accepts_at(&key, &issued.position()));
    let path = format!("{ISSUE}/{}", key.id);
    primary.until("last use", |primary| {
        // A last use may get lost on its way to the primary; a later use replaces it.
        replica.accepts(&key);
        let shown = primary.ask("GET", &path, &Value::Null).expect(200);
        shown.body["last_used_time"].as_str().map(drop)
    });
}
