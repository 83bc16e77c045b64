//! Admin tokens on several nodes, and in backups.

use std::io::Cursor;

use talos_model::{FollowError, Position};

use super::*;
use crate::backup::{Since, restore};
use crate::scenarios::model::files::copy_of_one_moment;
use crate::scenarios::replication::{
    all_after, assert_equal, begin, feed, finish_copy, open_primary, open_replica,
};

struct Nodes {
    primary: Arc<Engine>,
    replica: Arc<Engine>,
    scratch: tempfile::TempDir,
}

fn nodes() -> Nodes {
    let scratch = tempfile::tempdir().unwrap();
    let primary = open(&scratch.path().join("primary"));
    let replica = open_replica(&scratch.path().join("replica"));
    replica.adopt(primary.standing().epochs).unwrap();
    Nodes {
        primary,
        replica,
        scratch,
    }
}

#[test]
fn a_replica_has_the_tokens_of_the_changes_it_applied() {
    let Nodes {
        primary,
        replica,
        scratch,
    } = nodes();
    let one = create(&primary, "one", 1);
    let two = create(&primary, "two", 2);
    assert_accepted(&replica, &[]);
    feed(&primary, &replica);
    assert_accepted(&replica, &[1, 2]);
    assert_eq!(replica.admin_tokens().all(), primary.admin_tokens().all());
    let refused = execute(&replica, creation("three", 3));
    assert_eq!(refused, Err(CommandError::Replica));
    rotate(&primary, one.id, 3);
    revoke(&primary, two.id);
    feed(&primary, &replica);
    assert_accepted(&replica, &[3]);
    assert_equal(&primary, &replica);
    assert_ne!(primary.state_hash().unwrap().admin_tokens_hash, 0);

    let crashed = scratch.path().join("crashed");
    copy_of_one_moment(&scratch.path().join("replica"), &crashed);
    assert_accepted(&open_replica(&crashed), &[3]);

    // The replica takes over.
    primary.step_down().unwrap();
    replica.promote(None).unwrap();
    revoke(&replica, one.id);
    create(&replica, "four", 4);
    primary.adopt(replica.standing().epochs).unwrap();
    feed(&replica, &primary);
    assert_accepted(&primary, &[4]);
    assert_equal(&primary, &replica);
}

#[test]
fn a_copy_replaces_all_tokens() {
    let nodes = nodes();
    let stranger = open(&nodes.scratch.path().join("stranger"));
    create(&stranger, "stranger", 8);
    for _ in 0..20 {
        issue_new(&stranger, "a");
    }
    let gone = create(&nodes.primary, "gone", 1);
    let kept = [2, 3, 4, 5].map(|n| create(&nodes.primary, &format!("token-{n}"), n));
    issue_new(&nodes.primary, "a");
    revoke(&nodes.primary, gone.id);
    stranger.step_down().unwrap();
    let snapshot = nodes.primary.snapshot().unwrap();
    revoke(&nodes.primary, kept[0].id);
    begin(&nodes.primary, &snapshot, &stranger);
    let mut steps = 0;
    while let Some(place) = stranger.standing().copying {
        assert_accepted(&stranger, &[]);
        let crashed = nodes.scratch.path().join(format!("crashed-{steps}"));
        copy_of_one_moment(&nodes.scratch.path().join("stranger"), &crashed);
        let crashed = open_replica(&crashed);
        assert_accepted(&crashed, &[]);
        finish_copy(&snapshot, &crashed);
        assert_accepted(&crashed, &[2, 3, 4, 5]);
        let one = talos_model::ReadLimits {
            entries: 1,
            bytes: 1,
        };
        let chunk = snapshot.read(&place.cursor, one).unwrap();
        stranger.install(place.name, chunk).unwrap();
        steps += 1;
    }
    assert!(steps > 5, "{steps}");
    assert_accepted(&stranger, &[2, 3, 4, 5]);
    // The revocation after the copy.
    feed(&nodes.primary, &stranger);
    assert_accepted(&stranger, &[3, 4, 5]);
    assert_equal(&nodes.primary, &stranger);
    drop(stranger);
    let again = open_replica(&nodes.scratch.path().join("stranger"));
    assert_accepted(&again, &[3, 4, 5]);
}

#[test]
fn a_restored_node_has_the_tokens_of_the_backup_and_of_the_log() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("old"));
    let one = create(&engine, "one", 1);
    let two = create(&engine, "two", 2);
    let mut maker = engine.backup("test").unwrap();
    let mut bytes = Vec::new();
    while let Some(part) = maker.next_part().unwrap() {
        bytes.extend(part);
    }
    drop(maker);
    revoke(&engine, one.id);
    rotate(&engine, two.id, 3);
    drop(engine);
    for (since, name, expected) in [
        (Since::Unknown, "backup", &[1, 2][..]),
        (Since::Log(&at("old")), "log", &[3]),
    ] {
        restore(Cursor::new(&bytes), &at(name), since, |_| {}).unwrap();
        assert_accepted(&open_primary(&at(name)), expected);
    }
}

#[test]
fn a_change_of_a_token_that_does_not_fit_is_refused() {
    let Nodes {
        primary, replica, ..
    } = nodes();
    create(&primary, "one", 1);
    let [logged] = all_after(&primary, Position::START).try_into().unwrap();
    let refused = |bytes: Vec<u8>| {
        let change = talos_model::LoggedChange {
            bytes,
            ..logged.clone()
        };
        match replica.apply(vec![change]) {
            Err(FollowError::Malformed(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    // A release that knows no admin tokens sees a version that it does not know.
    let mut later = logged.bytes.clone();
    assert_eq!(later[0], 3);
    later[0] = 9;
    assert!(refused(later).contains("use a newer release"));
    // The sequence is at the end.
    let mut other_sequence = logged.bytes.clone();
    let at = other_sequence.len() - 8;
    other_sequence[at] = 9;
    refused(other_sequence);
    assert_accepted(&replica, &[]);
    replica.apply(vec![logged.clone()]).unwrap();
    assert_accepted(&replica, &[1]);
}
