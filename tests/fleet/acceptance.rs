//! Nodes that accept different credentials.

use serde_json::{Value, json};

use super::node::{Node, Place};
use crate::harness::tokens::SECRET;
use crate::metrics::Page;

const NEW: &str = "another secret for tests, of more than 32 characters";

/// The primary of this replica as the replica shows it, once it has differences.
fn differences_of(replica: &Node) -> String {
    replica.until("differences", |replica| {
        let status = replica.status();
        let shown = status["primary"]["differences"].as_array()?;
        Some(Value::Array(shown.clone()).to_string())
    })
}

fn gauge(node: &Node, name: &str) -> f64 {
    let address = format!("{}:4422", node.host()).parse().unwrap();
    let (page, _) = Page::scrape(address);
    page.sum(name, &[])
}

#[test]
fn a_replica_with_another_secret_is_not_ready() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica
        .follow(&primary)
        .set("SECRETS_HMAC_CURRENT", NEW)
        .start();
    let shown = differences_of(&replica);
    assert!(shown.contains("secrets.hmac: "), "{shown}");
    assert!(shown.contains("accepted there and not here"), "{shown}");
    // Long enough for a replica that follows to become ready.
    let key = primary.try_issue("key").expect(201);
    replica.until("the change", |replica| {
        (replica.status()["position"] == json!(key.position())).then_some(())
    });
    assert!(!replica.is_ready());
    let status = replica.status();
    let reason = status["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("this replica refuses credentials that its primary accepts"),
        "{status}"
    );
    assert!((gauge(&replica, "talos_replication_differences") - 1.0).abs() < 0.1);
    assert!((gauge(&replica, "talos_secrets_missing") - 1.0).abs() < 0.1);
    let seen = primary.until("differences", |primary| {
        let shown = primary.status()["replicas"][0]["differences"].clone();
        shown.is_array().then(|| shown.to_string())
    });
    assert!(seen.contains("secrets.hmac"), "{seen}");
    let of_replicas = gauge(&primary, "talos_replication_replica_differences");
    assert!((of_replicas - 1.0).abs() < 0.1);
    for log in [primary.log(), replica.log()] {
        assert!(log.contains("secrets.hmac"), "{log}");
        assert!(!log.contains(SECRET) && !log.contains(NEW), "{log}");
    }

    // With the primary's secret as a retired one it accepts what the primary accepts.
    replica.stop();
    replica
        .set("SECRETS_HMAC_RETIRED", json!([SECRET]))
        .start_ready();
    assert!(replica.accepts_at(&super::node::key_of(&key), &key.position()));
    let shown = differences_of(&replica);
    assert!(shown.contains("accepted here and not there"), "{shown}");
}

#[test]
fn a_replica_does_not_start_again_without_the_secrets_of_its_keys() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    let key = primary.try_issue("key").expect(201);
    assert!(replica.accepts_at(&super::node::key_of(&key), &key.position()));
    replica.stop();
    replica.set("SECRETS_HMAC_CURRENT", NEW);
    crate::harness::cli::run(replica.command())
        .assert_one_line_and_code_1(&["1 active key was issued", "--forget-missing-secrets"]);
}

#[test]
fn prefixes_and_issuers_are_compared_too() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    primary
        .be_primary()
        .set("CREDENTIALS_API_KEYS_PREFIX_CURRENT", "new")
        .set("CREDENTIALS_ISSUER", "https://new.example")
        .start_ready();
    replica.follow(&primary).start();
    let shown = differences_of(&replica);
    for text in [
        "credentials.api_keys.prefix: new is accepted there and not here",
        "credentials.issuer: https://new.example is accepted there and not here",
    ] {
        assert!(shown.contains(text), "{shown}");
    }
    assert!(!shown.contains("secrets.hmac"), "{shown}");
    assert!(!replica.is_ready());
}
