//! Writes that wait for replicas.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use talos_test_kit::http;
use talos_test_kit::keys::ISSUE;

use super::node::{Node, Place, await_equal, key_of};

#[test]
fn an_acknowledged_revocation_holds_on_all_replicas_it_waits_for() {
    let place = Place::new();
    let (mut primary, mut one, mut other) = (
        place.node("primary"),
        place.node("one"),
        place.node("other"),
    );
    primary.be_primary().start_ready();
    one.follow(&primary).start_ready();
    other.follow(&primary).start_ready();
    for round in 0..20 {
        let issued = primary.try_issue(&round.to_string()).expect(201);
        let (key, position) = (key_of(&issued), issued.position());
        assert!(one.accepts_at(&key, &position) && other.accepts_at(&key, &position));
        primary.try_revoke(&key, "?wait=replicas").expect(204);
        assert!(!one.accepts(&key) && !other.accepts(&key), "round {round}");
    }
    let wrong = primary.try_revoke(&primary.issue("x"), "?wait=everybody");
    assert!(wrong.expect(400).message().contains("wait"));
}

#[test]
fn a_silent_replica_is_named_and_unready_when_it_answers_again() {
    let place = Place::new();
    let (mut primary, mut one, mut frozen) = (
        place.node("primary"),
        place.node("one"),
        place.node("frozen"),
    );
    // The connection stays open longer than a write waits.
    primary
        .be_primary()
        .set("REPLICATION_ACK_TIMEOUT", "3s")
        .start_ready();
    one.follow(&primary).start_ready();
    frozen.follow(&primary).start_ready();
    let issued = primary.try_issue("one").expect(201);
    let (key, position) = (key_of(&issued), issued.position());
    assert!(frozen.accepts_at(&key, &position));
    let name = frozen.status()["node_id"].as_str().unwrap().to_owned();
    frozen.freeze(true);
    let answer = primary.try_revoke(&key, "?wait=replicas").expect(503);
    assert!(answer.message().contains(&name), "{answer:?}");
    assert!(answer.message().contains("durable"), "{answer:?}");
    assert!(!primary.accepts(&key), "it is not undone");
    assert!(!one.accepts_at(&key, &answer.position()));
    frozen.freeze(false);
    await_equal(&primary, &frozen);
    assert!(!frozen.accepts(&key));
}

#[test]
fn a_write_that_needs_a_replica_is_not_acknowledged_without_one() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary
        .be_primary()
        .set("REPLICATION_MIN_ACKS", 1)
        .set("REPLICATION_MAX_STALENESS", "1s")
        .set("REPLICATION_ACK_TIMEOUT", "1500ms")
        .start_ready();
    let lonely = primary.try_issue("lonely").expect(503);
    assert!(lonely.message().contains("replicas"), "{lonely:?}");
    let nothing = "nothing was changed";
    assert!(lonely.message().contains(nothing), "{lonely:?}");
    assert_eq!(primary.status()["position"], "1.0");
    replica.follow(&primary).start_ready();
    // On a busy machine a replica may exceed this time once or twice.
    let key = primary.until("an acknowledged issue", |primary| {
        let issued = primary.try_issue("in company");
        (issued.status == 201).then(|| key_of(&issued))
    });
    replica.kill();
    // A write before the connection has ended waits, and is durable.
    primary.until("a refusal", |primary| {
        let refused = primary.try_issue("lonely").expect(503);
        refused.message().contains(nothing).then_some(())
    });
    let before = primary.status()["position"].clone();
    for _ in 0..20 {
        let refused = primary.try_issue("lonely").expect(503);
        assert!(refused.message().contains(nothing), "{refused:?}");
    }
    assert_eq!(primary.status()["position"], before);
    let revoked = primary.try_revoke(&key, "").expect(503);
    assert!(revoked.message().contains("durable"), "{revoked:?}");
    assert!(!primary.accepts(&key), "what is durable holds here");
    // The second attempt waits for the change of the first.
    primary.try_revoke(&key, "").expect(503);
    replica.start_ready();
    await_equal(&primary, &replica);
    primary.until("an acknowledged refusal", |primary| {
        let again = primary.try_revoke(&key, "");
        assert!(matches!(again.status, 409 | 503), "{again:?}");
        (again.status == 409).then_some(())
    });
}

#[test]
fn a_secret_that_was_not_sent_comes_with_the_repetition() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary
        .be_primary()
        .set("REPLICATION_MIN_ACKS", 1)
        .set("REPLICATION_ACK_TIMEOUT", "3s")
        .start_ready();
    replica.follow(&primary).start_ready();
    let ask = |name: &str| {
        let body = json!({"name": name, "actor_id": "tester", "request_id": "once"});
        move |node: &Node| node.ask("POST", ISSUE, &body)
    };
    let (once, other) = (ask("once"), ask("other"));
    replica.freeze(true);
    let refused = once(&primary).expect(503);
    for part in ["durable", "request_id within 5 minutes"] {
        assert!(refused.message().contains(part), "{refused:?}");
    }
    replica.freeze(false);
    // By way of the replica: the primary remembers the secret.
    let issued = replica.until("an acknowledged issue", |replica| {
        let issued = once(replica);
        assert!(matches!(issued.status, 201 | 502 | 503), "{issued:?}");
        (issued.status == 201).then_some(issued)
    });
    let key = key_of(&issued);
    assert!(primary.accepts(&key) && replica.accepts_at(&key, &issued.position()));
    for node in [&primary, &replica] {
        let again = once(node).expect(201);
        assert_eq!(again.body.get("secret"), None, "it was sent");
        let refused = other(node).expect(409);
        assert!(refused.message().contains("another name"), "{refused:?}");
    }
    // The next primary knows the request, too.
    primary.kill();
    let path = "/v2alpha1/admin/replication:promote";
    replica.ask("POST", path, &Value::Null).expect(200);
    assert_eq!(once(&replica).expect(201).body.get("secret"), None);
    other(&replica).expect(409);
}

#[test]
fn garbage_from_anybody_waits_for_no_replica() {
    let place = Place::new();
    let mut primary = place.node("primary");
    primary
        .be_primary()
        .set("REPLICATION_MIN_ACKS", 1)
        .set("REPLICATION_MAX_STALENESS", "1s")
        .set("REPLICATION_ACK_TIMEOUT", "1500ms")
        .start_ready();
    // There is a change that no replica has.
    let all = json!({"actor_id": "a", "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
    let path = "/v2alpha1/admin/apiKeys:revokeWhere";
    let lonely = primary.ask("POST", path, &all).expect(503);
    assert!(lonely.message().contains("durable"), "{lonely:?}");
    let garbage = json!({"credential": "garbage"});
    primary
        .ask("POST", "/v2alpha1/apiKeys:selfRevoke", &garbage)
        .expect(400);
    let path = "/v2alpha1/apiKeys:selfRevoke?wait=replicas";
    primary.ask("POST", path, &garbage).expect(400);
    let unknown = "/v2alpha1/admin/apiKeys/0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b:revoke";
    primary.ask("POST", unknown, &json!({})).expect(404);
}

#[test]
fn changes_that_wait_leave_lists_and_the_signing_keys_alone() {
    /// More than the control plane handles at the same time.
    const CHANGES: usize = 2500;
    let place = Place::new();
    let mut primary = place.node("primary");
    primary
        .be_primary()
        .set("REPLICATION_MIN_ACKS", 1)
        .set("REPLICATION_ACK_TIMEOUT", "60s")
        .start_ready();
    let body = json!({"name": "n", "actor_id": "a"}).to_string();
    let request = http::request("POST", ISSUE, &[], body.as_bytes());
    let mut waiting = Vec::new();
    for _ in 0..CHANGES {
        let mut stream = UnixStream::connect(primary.socket()).unwrap();
        stream.write_all(&request).unwrap();
        waiting.push(stream);
    }
    for path in [ISSUE, "/v2alpha1/derivedKeys/jwks.json"] {
        primary.ask("GET", path, &Value::Null).expect(200);
    }
    drop(waiting);
}
