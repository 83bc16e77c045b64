//! A node whose disk is full and has room again, as the primary and as a replica.

use std::time::Duration;

use serde_json::json;
use talos_test_kit::keys::ISSUE;

use super::node::{Key, Node, Place, await_equal, key_of};
use crate::harness::volume::Volume;

/// Storage reserves some 70 MiB for its log when it opens.
const VOLUME_MIB: u64 = 192;
/// Far more writes than fit into the blocks that files have allocated on a full disk.
const ATTEMPTS: usize = 20_000;

/// Issues large keys at `node` until `enough`. Returns those that were acknowledged.
fn issue_large_until(node: &Node, mut enough: impl FnMut(u16) -> bool) -> Vec<Key> {
    let metadata = "x".repeat(32 << 10);
    let mut keys = Vec::new();
    for number in 0..ATTEMPTS {
        let body = json!({"name": format!("large {number}"), "actor_id": "a", "metadata": {"x": metadata}});
        let answer = node.ask("POST", ISSUE, &body);
        if answer.status == 201 {
            keys.push(key_of(&answer));
        }
        if enough(answer.status) {
            return keys;
        }
    }
    panic!(
        "the disk is not full after {ATTEMPTS} writes:\n{}",
        node.log()
    );
}

#[test]
fn replicas_agree_with_a_primary_whose_disk_was_full() {
    let Some(volume) = Volume::new(VOLUME_MIB) else {
        return;
    };
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    let data = format!("rocksdb://{}", volume.path().join("data").display());
    primary.be_primary().set("DB_DSN", data).start_ready();
    replica.follow(&primary).start_ready();
    let kept = primary.issue("kept");
    let ballast = volume.fill();
    let acknowledged = issue_large_until(&primary, |status| status != 201);
    primary.try_issue("refused").expect(503);
    assert!(primary.accepts(&kept) && replica.accepts(&kept));
    std::fs::remove_file(ballast).unwrap();
    primary.await_ready();
    let revoked = primary.revoke(&kept);
    assert!(!replica.accepts_at(&kept, &revoked.position()));
    await_equal(&primary, &replica);
    for key in &acknowledged {
        assert!(primary.accepts(key) && replica.accepts(key));
    }
    primary.kill();
    primary.start_ready();
    await_equal(&primary, &replica);
}

#[test]
fn a_replica_whose_disk_was_full_follows_again() {
    let Some(volume) = Volume::new(VOLUME_MIB) else {
        return;
    };
    let place = Place::new();
    let (mut primary, mut replica) = (place.node("primary"), place.node("replica"));
    let data = format!("rocksdb://{}", volume.path().join("data").display());
    primary.be_primary().start_ready();
    replica.follow(&primary).set("DB_DSN", data).start_ready();
    let kept = primary.issue("kept");
    await_equal(&primary, &replica);
    let ballast = volume.fill();
    let mut keys = issue_large_until(&primary, |status| {
        assert_eq!(status, 201, "the primary has room");
        replica.log().contains("until the disk has room")
    });
    assert!(!replica.is_ready());
    assert!(replica.accepts(&kept), "it still answers");
    keys.push(primary.issue("while it is full"));
    std::fs::remove_file(ballast).unwrap();
    replica.await_ready();
    await_equal(&primary, &replica);
    let position = primary.revoke(&kept).position();
    assert!(!replica.accepts_at(&kept, &position));
    replica.kill();
    replica.start_ready();
    await_equal(&primary, &replica);
    for key in &keys {
        assert!(replica.accepts(key));
    }
    // Shutting down does not wait for room.
    let ballast = volume.fill();
    issue_large_until(&primary, |_| {
        replica.log().contains("until the disk has room")
    });
    std::thread::sleep(Duration::from_secs(1));
    replica.stop();
    drop(ballast);
}
