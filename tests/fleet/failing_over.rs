//! A replica is promoted to primary, and the old primary comes back.

use serde_json::{Value, json};

use super::node::{Node, Place, await_equal, key_of};
use crate::harness::cli::run;

fn promote(node: &Node) -> Value {
    let path = "/v2alpha1/admin/replication:promote";
    node.ask("POST", path, &Value::Null).expect(200).body
}

fn fleet(node: &Node, arguments: &[&str]) -> crate::harness::cli::Ran {
    let mut command = std::process::Command::new(crate::harness::TALOS);
    command.args(["-e", &node.url(), "fleet"]).args(arguments);
    run(command)
}

/// A primary with two replicas.
fn three(place: &Place, min_acks: u32) -> [Node; 3] {
    let mut nodes = [place.node("a"), place.node("b"), place.node("c")];
    let [a, b, c] = &mut nodes;
    for node in [&mut *a, &mut *b, &mut *c] {
        node.set("REPLICATION_MIN_ACKS", min_acks);
    }
    a.be_primary().start_ready();
    b.follow(a).start_ready();
    c.follow(a).start_ready();
    nodes
}

#[test]
fn no_acknowledged_write_is_lost_and_the_old_primary_comes_back_as_a_replica() {
    let place = Place::new();
    let [mut a, b, mut c] = three(&place, 1);
    let mut keys = Vec::new();
    let mut last = String::new();
    for number in 0..50 {
        let issued = a.try_issue(&number.to_string()).expect(201);
        last = issued.position();
        keys.push(key_of(&issued));
    }
    for key in keys.iter().take(10) {
        last = a.revoke(key).position();
    }
    a.kill();
    // Each acknowledged write is on one replica besides the primary, so both replicas have to be
    // asked before one is promoted.
    let sequence = |node: &Node| {
        let position = node.status()["position"].as_str().unwrap().to_owned();
        position.split_once('.').unwrap().1.parse::<u64>().unwrap()
    };
    let (mut new, mut rest) = if sequence(&b) >= sequence(&c) {
        (b, c)
    } else {
        (c, b)
    };
    let status = promote(&new);
    assert_eq!(
        (&status["role"], &status["epoch"]),
        (&json!("primary"), &json!(2))
    );
    assert!(new.is_ready());
    let refused = new.ask("POST", "/v2alpha1/admin/replication:promote", &Value::Null);
    assert!(refused.expect(409).message().contains("only a replica"));
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(new.accepts_at(key, &last), number >= 10, "key {number}");
    }
    rest.stop();
    rest.follow(&new).start_ready();
    let after = new.try_issue("after").expect(201);
    assert!(after.position().starts_with("2."), "{after:?}");
    assert!(rest.accepts_at(&key_of(&after), &after.position()));

    a.follow(&new).start_ready();
    await_equal(&new, &a);
    assert!(!a.accepts(&keys[0]) && a.accepts(&keys[20]));
    assert_eq!(a.status()["epoch"], json!(2));

    // A promoted node stays primary over a restart although its configuration still says replica,
    // and logs that.
    new.kill();
    new.start_ready();
    assert_eq!(new.status()["role"], "primary");
    assert!(
        new.log().contains("set replication.role to primary"),
        "{}",
        new.log()
    );
    let again = new.try_issue("again").expect(201);
    c = rest;
    assert!(c.accepts_at(&key_of(&again), &again.position()));
}

#[test]
fn a_replaced_primary_takes_no_changes_once_it_knows() {
    let place = Place::new();
    let [a, b, mut c] = three(&place, 0);
    let issued = a.try_issue("one").expect(201);
    let key = key_of(&issued);
    // Otherwise the new primary might lack changes that the other replica has.
    assert!(b.accepts_at(&key, &issued.position()));
    promote(&b);
    // The old primary does not know of the promotion yet; a replica of the new primary tells it.
    c.stop();
    c.follow(&b).start_ready();
    c.stop();
    c.follow(&a).start();
    a.until("its successor", |a| (!a.is_ready()).then_some(()));
    let refused = a.try_issue("two").expect(503);
    assert!(refused.message().contains("epoch 2"), "{refused:?}");
    assert!(a.accepts(&key), "verification goes on");
    let status = c.status();
    assert!(!c.is_ready(), "{status}");
}

#[test]
fn changes_of_the_old_primary_alone_are_shown_and_kept_when_it_rejoins() {
    let place = Place::new();
    let [mut a, mut b, mut c] = three(&place, 0);
    let shared = a.try_issue("shared").expect(201);
    let shared_key = key_of(&shared);
    assert!(b.accepts_at(&shared_key, &shared.position()));
    b.stop();
    c.stop();
    let lost = a.issue("lost");
    a.revoke(&shared_key);
    a.kill();
    b.start();
    promote(&b);
    let after = b.try_issue("after").expect(201);

    a.follow(&b).start();
    a.until("divergence", |a| {
        a.status()["primary"]["diverged"]
            .as_bool()
            .filter(|diverged| *diverged)
    });
    assert!(!a.is_ready());
    let unready = a.ask("GET", "/health/ready", &Value::Null).expect(503);
    assert!(unready.message().contains("not ready"), "{unready:?}");
    let reason = a.reason();
    assert!(reason.contains("talos fleet diverged"), "{reason}");
    let shown = fleet(&a, &["diverged", "--format", "json"]).json();
    assert_eq!(shown["total"], json!(2), "{shown}");
    assert_eq!(shown["fork"], json!(shared.position()));
    assert_eq!(shown["changes"][0]["event"], "IssuedAPIKeyCreated");
    assert_eq!(shown["changes"][0]["key_id"], json!(lost.id));
    assert_eq!(shown["changes"][1]["event"], "IssuedAPIKeyRevoked");
    assert_eq!(shown["changes"][1]["key_id"], json!(shared_key.id));
    let table = fleet(&a, &["diverged"]);
    assert!(
        table.succeeded().contains("IssuedAPIKeyRevoked"),
        "{table:?}"
    );

    let rejoined = fleet(&a, &["rejoin", "--format", "json"]).json();
    let kept = std::path::PathBuf::from(rejoined["kept"].as_str().unwrap());
    a.await_ready();
    await_equal(&b, &a);
    assert!(a.accepts_at(&key_of(&after), &after.position()));
    assert!(!a.accepts(&lost));
    let again = fleet(&a, &["rejoin"]);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("holds nothing"), "{again:?}");

    // The copy of the diverged database that was kept opens like any other.
    let mut old = place.node("old");
    std::fs::rename(kept, old.data()).unwrap();
    old.set("REPLICATION_ROLE", "none").start_ready();
    assert!(old.accepts(&lost) && !old.accepts(&shared_key));
}

#[test]
fn the_command_line_shows_a_fleet_and_refuses_invalid_actions() {
    let place = Place::new();
    let [a, b, c] = three(&place, 0);
    let names = [&b, &c].map(|node| node.status()["node_id"].as_str().unwrap().to_owned());
    let text = a.until("both replicas", |a| {
        let text = fleet(a, &["status"]).succeeded().to_owned();
        names.iter().all(|name| text.contains(name)).then_some(text)
    });
    assert!(text.contains("LAG_MS"), "{text}");
    let refused = fleet(&a, &["promote"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("only a replica can be promoted"),
        "{refused:?}"
    );
    assert_eq!(
        fleet(&b, &["status", "--format", "json"]).json()["role"],
        "replica"
    );
    let state = fleet(&a, &["state", "--format", "json"]).json();
    assert_eq!(state["records"], json!(0), "{state}");
}

#[test]
fn a_standalone_server_has_a_status_and_nothing_to_promote() {
    let place = Place::new();
    let mut alone = place.node("alone");
    alone.set("REPLICATION_ROLE", "none").start_ready();
    assert_eq!(alone.status()["role"], "none");
    let refused = fleet(&alone, &["promote"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("stands alone"), "{refused:?}");
}
