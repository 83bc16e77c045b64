//! Feeds of changes and backups in a fleet.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::node::{Node, Place, await_equal};
use crate::harness::TALOS;
use crate::harness::cli::{Ran, run};
use crate::harness::feed::Feed;
use crate::harness::site::without_talos_variables;

fn address(node: &Node) -> SocketAddr {
    let url = node.url();
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn backup(arguments: &[&str]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.arg("backup").args(arguments);
    run(command)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_feed_of_one_node_continues_at_another() {
    let place = Place::new();
    let (mut a, mut b) = (place.node("a"), place.node("b"));
    a.be_primary().start_ready();
    b.follow(&a).start_ready();
    let mut feed = Feed::open(address(&b), "after=0", &[]);
    let key = a.issue("one");
    let event = feed.event();
    assert_eq!(
        (event.id.as_str(), &event.data["key_id"]),
        ("1.1", &json!(key.id))
    );
    // When a node sends the event of a revocation, it refuses the key already.
    a.revoke(&key);
    assert_eq!(feed.event().name, "IssuedAPIKeyRevoked");
    assert!(!b.accepts(&key));
    // A position in the feed is valid on the other node, too, and stays valid after a promotion.
    let place = feed.place.clone().unwrap();
    let mut other = Feed::open(address(&a), "", &[("Last-Event-ID", &place)]);
    b.issue("two");
    assert_eq!(other.event(), feed.event());
    a.kill();
    b.ask("POST", "/v2alpha1/admin/replication:promote", &json!(null))
        .expect(200);
    b.issue("three");
    assert_eq!(feed.event().id, "2.4", "of the epoch that has begun");
    let mut feed = Feed::open(address(&b), "", &[("Last-Event-ID", "1.3")]);
    assert_eq!(feed.event().id, "2.4");
    b.stop();
}

#[test]
fn a_replica_follows_a_primary_restored_with_its_log_and_no_other() {
    let place = Place::new();
    let (mut old, mut replica) = (place.node("old"), place.node("replica"));
    old.be_primary().start_ready();
    replica.follow(&old).start_ready();
    old.issue("before");
    let file = place.path().join("backup");
    let (url, output) = (replica.url(), text(&file));
    replica.until("the first change", |replica| {
        let position = replica.status()["position"] == "1.1";
        position.then_some(())
    });
    // A replica can make backups, too.
    backup(&["create", "-e", &url, "--output", output]).succeeded();
    let after = old.try_issue("after").expect(201);
    assert!(replica.accepts_at(&super::node::key_of(&after), &after.position()));
    old.kill();
    replica.stop();

    let mut less = place.node("less");
    let ran = backup(&[
        "restore",
        output,
        "--to",
        text(&less.data()),
        "--without-log",
    ]);
    assert!(ran.stderr.contains("WARNING"), "{ran:?}");
    ran.succeeded();
    less.be_primary().start_ready();
    less.issue("another");
    replica.follow(&less).start();
    replica.until("a refusal", |replica| {
        (replica.status()["primary"]["diverged"] == true).then_some(())
    });
    assert!(
        replica.accepts(&super::node::key_of(&after)),
        "it keeps what it has"
    );
    replica.stop();
    less.stop();

    let mut whole = place.node("whole");
    let log = old.data();
    backup(&[
        "restore",
        output,
        "--to",
        text(&whole.data()),
        "--log",
        text(&log),
    ])
    .succeeded();
    whole.be_primary().start_ready();
    let later = whole.issue("later");
    replica.follow(&whole).start_ready();
    await_equal(&whole, &replica);
    assert!(replica.accepts(&later));
    replica.stop();
    whole.stop();
}
