//! A replica tells the primary who the client is whose request it forwards. Nobody else can.

use std::net::SocketAddr;

use rustix::process::geteuid;
use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::ISSUE;

use super::node::{Node, Place};
use crate::harness::feed::Feed;

const TOKEN: &str = "the-bootstrap-token-of-this-fleet-0123456789";

/// A primary that knows no user of its host, and a replica on whose host this process is a user
/// with `role`.
fn pair(place: &Place, role: &str) -> (Node, Node) {
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    for node in [&mut primary, &mut replica] {
        node.set("SERVE_ADMIN_AUTH_ENABLED", "true")
            .set("SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", TOKEN);
    }
    let user = json!([{"uid": geteuid().as_raw(), "role": role, "name": "ops"}]);
    replica.set("SERVE_ADMIN_AUTH_PEERS", user);
    primary.be_primary().start_ready();
    replica.follow(&primary).start_ready();
    (primary, replica)
}

fn address(node: &Node) -> SocketAddr {
    node.listens_at().replace(":4421", ":4420").parse().unwrap()
}

/// The authors of the first changes of the log, as the feed of the primary shows them.
fn authors(primary: &Node, count: usize) -> Vec<Value> {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str())];
    let mut feed = Feed::open(address(primary), "after=0", &headers);
    let events = feed.events(count).into_iter();
    events.map(|event| event.data["author"].clone()).collect()
}

#[test]
fn the_primary_learns_who_asked_the_replica() {
    let place = Place::new();
    let (primary, replica) = pair(&place, "write");
    let new = json!({"name": "n", "actor_id": "a"});
    let by_user = replica.ask("POST", ISSUE, &new);
    assert_eq!(by_user.header("Talos-Forwarded-To"), Some(&*primary.url()));
    by_user.expect(201);
    let bearer = format!("Bearer {TOKEN}");
    let token = [("Authorization", bearer.as_str())];
    replica.ask_with("POST", ISSUE, &token, &new).expect(201);
    // From another address than that of the replica.
    let mut connection = Connection::open(address(&replica));
    let body = new.to_string();
    let answer = connection.call("POST", ISSUE, &token, body.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(
        authors(&primary, 3),
        [
            json!({"name": "ops", "proof": "peer_credentials"}),
            json!({"name": "bootstrap", "proof": "bootstrap_token"}),
            json!({"name": "bootstrap", "proof": "bootstrap_token", "address": "127.0.0.1"}),
        ]
    );
}

#[test]
fn the_rights_of_a_client_do_not_grow_on_the_way() {
    let place = Place::new();
    let (primary, replica) = pair(&place, "read");
    let new = json!({"name": "n", "actor_id": "a"});
    replica.ask("GET", ISSUE, &Value::Null).expect(200);
    replica.ask("POST", ISSUE, &new).expect(403);
    let wrong = [("Authorization", "Bearer wrong")];
    replica.ask_with("POST", ISSUE, &wrong, &new).expect(401);
    let body = new.to_string();
    for node in [&primary, &replica] {
        let mut connection = Connection::open(address(node));
        // What a stranger says about itself.
        for words in ["", "v1.e30.e30", "v1..", "ops"] {
            let headers = [("Talos-Forwarded", "1"), ("Talos-Forwarded-Client", words)];
            let answer = connection.call("POST", ISSUE, &headers, body.as_bytes());
            assert_eq!(answer.status, 401, "{answer:?}");
            let answer = connection.call("POST", ISSUE, &headers[1..], body.as_bytes());
            assert_eq!(answer.status, 401, "{answer:?}");
        }
    }
    // The primary does not know the user.
    primary.ask("POST", ISSUE, &new).expect(401);
}

/// A primary that has another secret for its clients believes nothing.
#[test]
fn a_replica_that_has_no_token_for_its_primary_forwards_none() {
    let place = Place::new();
    let (mut primary, replica) = pair(&place, "write");
    let new = json!({"name": "n", "actor_id": "a"});
    replica.ask("POST", ISSUE, &new).expect(201);
    primary.stop();
    primary
        .set(
            "SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN",
            "another-bootstrap-token-0123456789abcdef",
        )
        .start_ready();
    let bearer = format!("Bearer {TOKEN}");
    let token = [("Authorization", bearer.as_str())];
    replica.ask_with("POST", ISSUE, &token, &new).expect(401);
    replica.ask("POST", ISSUE, &new).expect(201);
}
