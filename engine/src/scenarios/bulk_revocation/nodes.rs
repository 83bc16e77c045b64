//! Bulk revocations on several nodes.

use std::io::Cursor;

use talos_model::Position;

use super::*;
use crate::backup::{Since, restore};
use crate::scenarios::failed_writes::Failing;
use crate::scenarios::replication::{
    all_after, assert_equal, begin, feed, finish_copy, open_primary, open_replica,
};

struct Nodes {
    primary: PausedEngine,
    replica: Arc<Engine>,
    scratch: tempfile::TempDir,
}

fn nodes() -> Nodes {
    let scratch = tempfile::tempdir().expect("a directory");
    let primary = paused(&scratch.path().join("primary"));
    let replica = open_replica(&scratch.path().join("replica"));
    replica
        .adopt(primary.standing().epochs)
        .expect("an empty node follows any primary");
    Nodes {
        primary,
        replica,
        scratch,
    }
}

#[test]
fn a_replica_enforces_bulk_revocations() {
    let nodes = nodes();
    let (key_id, credential) = made(&nodes.primary, "leaver", "read");
    let (_, other) = made(&nodes.primary, "stayer", "read");
    feed(&nodes.primary, &nodes.replica);
    cache(&nodes.replica, &credential);
    cache(&nodes.replica, &other);
    let bulk_revocation = revoke_where(&nodes.primary, of_actor("leaver"));
    feed(&nodes.primary, &nodes.replica);
    assert_eq!(nodes.replica.committed(), bulk_revocation.position);
    assert_revoked(&nodes.replica, &credential);
    assert_valid(&nodes.replica, &other);
    let shown = get(&nodes.replica, key_id).expect("a key");
    assert_eq!(shown.revocation.as_ref(), Some(&bulk_revocation.revocation));
    assert_equal(&nodes.primary, &nodes.replica);
    assert_ne!(nodes.primary.state_hash().unwrap().bulk_revocations_hash, 0);

    nodes.primary.finish_catch_up();
    assert_revoked(&nodes.replica, &credential);
    feed(&nodes.primary, &nodes.replica);
    assert_eq!(nodes.replica.bulk_revocations_in_force(), 0);
    assert_revoked(&nodes.replica, &credential);
    assert_valid(&nodes.replica, &other);
    assert_equal(&nodes.primary, &nodes.replica);
    assert_eq!(nodes.primary.state_hash().unwrap().bulk_revocations_hash, 0);
}

#[test]
fn a_restarted_replica_still_enforces_bulk_revocations() {
    let nodes = nodes();
    let (_, credential) = made(&nodes.primary, "leaver", "read");
    revoke_where(&nodes.primary, of_actor("leaver"));
    feed(&nodes.primary, &nodes.replica);
    let Nodes { replica, .. } = &nodes;
    let path = nodes.scratch.path().join("restarted");
    crate::scenarios::model::files::copy_of_one_moment(
        &nodes.scratch.path().join("replica"),
        &path,
    );
    assert_eq!(replica.bulk_revocations_in_force(), 1);
    let restarted = open_replica(&path);
    assert_eq!(
        restarted.bulk_revocations_in_force(),
        1,
        "a replica waits for the primary"
    );
    assert_revoked(&restarted, &credential);
    assert_equal(&nodes.primary, &restarted);
}

#[test]
fn a_promoted_node_completes_bulk_revocations() {
    let nodes = nodes();
    let (_, credential) = made(&nodes.primary, "leaver", "read");
    revoke_where(&nodes.primary, of_actor("leaver"));
    feed(&nodes.primary, &nodes.replica);
    nodes.primary.step_down().unwrap();
    nodes.primary.resume();
    nodes.replica.promote(None).unwrap();
    wait_for_records(&nodes.replica);
    assert_revoked(&nodes.replica, &credential);
    assert_eq!(nodes.replica.store().live_keys(TenantId::SINGLE), Ok(0));
    assert_eq!(
        nodes.primary.bulk_revocations_in_force(),
        1,
        "it takes no decisions any more"
    );
    nodes
        .primary
        .adopt(nodes.replica.standing().epochs)
        .unwrap();
    feed(&nodes.replica, &nodes.primary);
    assert_eq!(nodes.primary.bulk_revocations_in_force(), 0);
    assert_equal(&nodes.primary, &nodes.replica);
    drop(nodes.replica);
    let again = open_primary(&nodes.scratch.path().join("replica"));
    assert_revoked(&again, &credential);
}

#[test]
fn a_copy_holds_the_bulk_revocations_in_force() {
    let nodes = nodes();
    // The node held another history before the copy. The bulk revocations of that history have no
    // meaning in the copied one.
    let stranger = paused(&nodes.scratch.path().join("stranger"));
    for _ in 0..20 {
        made(&stranger, "stayer", "read");
    }
    revoke_where(&stranger, of_actor("stayer"));
    stranger.step_down().unwrap();

    let keys: Vec<_> = (0..5)
        .map(|_| made(&nodes.primary, "leaver", "read"))
        .collect();
    let (_, stayer) = made(&nodes.primary, "stayer", "read");
    let bulk_revocation = revoke_where(&nodes.primary, of_actor("leaver"));
    for copied in [&*nodes.replica, &*stranger] {
        let snapshot = nodes.primary.snapshot().unwrap();
        begin(&nodes.primary, &snapshot, copied);
        finish_copy(&snapshot, copied);
        assert_eq!(copied.bulk_revocations_in_force(), 1);
        assert_equal(&nodes.primary, copied);
        for (_, credential) in &keys {
            assert_revoked(copied, credential);
        }
        cache(copied, &stayer);
        let shown = get(copied, keys[0].0).expect("a key");
        assert_eq!(shown.revocation.as_ref(), Some(&bulk_revocation.revocation));
    }
    revoke_where(&nodes.primary, of_actor("stayer"));
    for copied in [&*nodes.replica, &*stranger] {
        feed(&nodes.primary, copied);
        assert_revoked(copied, &stayer);
    }
    nodes.primary.finish_catch_up();
    for copied in [&*nodes.replica, &*stranger] {
        feed(&nodes.primary, copied);
        assert_equal(&nodes.primary, copied);
        assert_eq!(copied.store().live_keys(TenantId::SINGLE), Ok(0));
    }
}

#[test]
fn a_backup_holds_the_bulk_revocations_in_force() {
    let nodes = nodes();
    let (_, credential) = made(&nodes.primary, "leaver", "read");
    let (_, stayer) = made(&nodes.primary, "stayer", "read");
    revoke_where(&nodes.primary, of_actor("leaver"));
    let mut maker = nodes.primary.backup("test").expect("a backup");
    let mut bytes = Vec::new();
    while let Some(part) = maker.next_part().expect("a part") {
        bytes.extend(part);
    }
    let to = nodes.scratch.path().join("restored");
    restore(Cursor::new(bytes), &to, Since::Unknown, |_| {}).expect("a database");
    let restored = open_primary(&to);
    wait_for_records(&restored);
    assert_revoked(&restored, &credential);
    assert_valid(&restored, &stayer);
}

#[test]
fn a_change_of_a_bulk_revocation_that_does_not_fit_is_refused() {
    let nodes = nodes();
    revoke_where(&nodes.primary, of_actor("leaver"));
    let [logged] = all_after(&nodes.primary, Position::START)
        .try_into()
        .unwrap();
    let mut moved = logged.clone();
    moved.position.sequence = moved.position.sequence.next();
    assert!(crate::storage::decode_change(moved.position, &moved.bytes).is_err());
    let mut another_event = logged.clone();
    // The byte after the version and the time.
    another_event.bytes[9] = 0;
    let refused = nodes.replica.apply(vec![another_event]);
    assert!(
        matches!(refused, Err(talos_model::FollowError::Malformed(_))),
        "{refused:?}"
    );
    nodes
        .replica
        .apply(vec![logged])
        .expect("the change itself fits");
}

#[test]
fn a_failed_write_puts_no_bulk_revocation_in_force() {
    let scratch = tempfile::tempdir().unwrap();
    let fail = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fail);
    let wrap = move |journal| Failing::boxed(journal, failing);
    let engine = Engine::open_with(
        options(scratch.path()),
        Mode::Primary,
        |reader| reader,
        wrap,
    )
    .unwrap();
    let (_, credential) = made(&engine, "leaver", "read");
    cache(&engine, &credential);
    fail.store(true, Ordering::SeqCst);
    let refused = try_revoke_where(&engine, of_actor("leaver"));
    assert!(
        matches!(refused, Err(CommandError::Latched(_))),
        "{refused:?}"
    );
    assert_valid(&engine, &credential);
    assert_eq!(engine.bulk_revocations_in_force(), 0);
}
