//! Both the replica that forwards a change and the primary that makes it note it.

use serde_json::Value;
use talos_test_kit::keys::ISSUE;

use super::{lines, verify};
use crate::fleet::node::{Place, key_of};

#[test]
fn a_forwarded_change_is_noted_on_both_nodes() {
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    let files = ["primary.log", "replica.log"].map(|name| place.path().join(name));
    primary.be_primary().set("AUDIT_FILE", files[0].display());
    primary.start_ready();
    replica
        .follow(&primary)
        .set("AUDIT_FILE", files[1].display());
    replica.start_ready();
    let issued = replica.try_issue("one").expect(201);
    let key = key_of(&issued);
    replica.ask("GET", ISSUE, &Value::Null).expect(200);
    replica.stop();
    primary.stop();
    let [at_primary, at_replica] = files.clone().map(|file| lines(&[file]));
    let of = |lines: &[Value]| {
        let found = lines.iter().filter(|line| line["status"] == 201);
        found.cloned().collect::<Vec<_>>()
    };
    let (made, forwarded) = (of(&at_primary), of(&at_replica));
    assert_eq!((made.len(), forwarded.len()), (1, 1));
    for entry in [&made[0], &forwarded[0]] {
        assert_eq!(entry["key_ids"][0], key.id.as_str());
        assert_eq!(entry["request_id"], made[0]["request_id"]);
        assert_eq!(entry["position"], issued.position().as_str());
    }
    assert!(made[0]["forwarded_to"].is_null());
    assert_eq!(forwarded[0]["forwarded_to"], primary.url().as_str());
    assert_ne!(made[0]["node"], forwarded[0]["node"]);
    // The list is noted where it was read.
    let lists = |lines: &[Value]| {
        lines
            .iter()
            .filter(|line| line["operation"] == "adminListIssuedApiKeys")
            .count()
    };
    assert_eq!((lists(&at_primary), lists(&at_replica)), (0, 1));
    for file in files {
        verify(&[file], &[]).succeeded();
    }
}
