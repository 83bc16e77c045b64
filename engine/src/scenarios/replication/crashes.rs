//! A replica that crashes between any two steps continues with what it has on disk.

use super::*;

#[test]
fn applied_changes_are_there_after_a_crash() {
    let pair = Pair::new();
    make_changes_of_all_kinds(&pair.primary, "a");
    let mut steps = 0;
    while let Some(changes) = next(&pair.primary, pair.replica.committed()) {
        let last = pair.replica.apply(changes).unwrap();
        let crashed = open_replica(&pair.crashed_replica(&format!("crashed-{steps}")));
        assert_eq!(crashed.committed(), last);
        assert_equal(&crashed, &pair.replica);
        feed(&pair.primary, &crashed);
        assert_equal(&crashed, &pair.primary);
        steps += 1;
    }
    assert!(steps > 3);
}

#[test]
fn a_copy_goes_on_after_a_crash_and_shows_nothing_before_its_end() {
    let pair = Pair::new();
    let (_, before) = issue_new(&pair.primary, "before");
    pair.feed();
    assert_eq!(
        verify(&pair.replica, &before, CacheMode::Use).0,
        valid("before")
    );
    make_changes_of_all_kinds(&pair.primary, "a");
    let (key_id, credential) = issue_new(&pair.primary, "last");
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &pair.replica);
    let mut steps = 0;
    while let Some(copying) = pair.replica.standing().copying {
        assert_eq!(copying.digest, Some(5));
        let path = pair.crashed_replica(&format!("crashed-{steps}"));
        for node in [&pair.replica, &open_replica(&path)] {
            assert_eq!(node.standing().copying.as_ref(), Some(&copying));
            for credential in [&before, &credential] {
                for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
                    let verdict = verify(node, credential, mode).0;
                    assert_eq!(verdict, OwnedVerdict::Refused(Refusal::Internal));
                }
            }
            let (sender, receiver) = channel();
            node.get(TenantId::SINGLE, key_id, move |record| {
                sender.send(record).unwrap();
            });
            assert_eq!(receiver.recv().unwrap(), Err(ReadError::Incomplete));
            assert_eq!(node.state_hash(), Err(ReadError::Incomplete));
            assert!(node.snapshot().is_err());
            assert_eq!(node.promote(None), Err(FollowError::Incomplete));
            let changes = all_after(&pair.primary, Position::START);
            assert_eq!(node.apply(changes), Err(FollowError::Incomplete));
        }
        let crashed = open_replica(&path);
        finish_copy(&snapshot, &crashed);
        assert_equal(&pair.primary, &crashed);
        drop(crashed);
        let crashed = open_replica(&path);
        assert_equal(&pair.primary, &crashed);
        assert_eq!(
            verify(&crashed, &credential, CacheMode::Use).0,
            valid("last")
        );

        let chunk = chunk_after(&snapshot, &copying.cursor);
        pair.replica.install(copying.name, chunk).unwrap();
        steps += 1;
    }
    assert!(steps > 3);
    assert_equal(&pair.primary, &pair.replica);
    assert_eq!(
        verify(&pair.replica, &credential, CacheMode::Use).0,
        valid("last")
    );
}

#[test]
fn the_end_of_a_copy_may_lie_before_what_was_thrown_away() {
    let pair = Pair::new();
    let rival = Pair::new();
    for _ in 0..5 {
        issue_new(&pair.primary, "a");
    }
    pair.feed();
    issue_new(&rival.primary, "b");
    let snapshot = rival.primary.snapshot().unwrap();
    begin(&rival.primary, &snapshot, &pair.replica);
    let crashed = open_replica(&pair.crashed_replica("begun"));
    finish_copy(&snapshot, &crashed);
    drop(crashed);
    let witness = std::fs::read(pair.scratch.path().join("replica/witness")).unwrap();
    finish_copy(&snapshot, &pair.replica);
    // A crash after the last rows are written and before the witness is.
    let path = pair.crashed_replica("behind");
    std::fs::write(path.join("witness"), witness).unwrap();
    assert_equal(&rival.primary, &open_replica(&path));
    for name in ["begun", "complete"] {
        let path = match name {
            "begun" => pair.scratch.path().join(name),
            _ => pair.crashed_replica(name),
        };
        assert_equal(&rival.primary, &open_replica(&path));
    }
}

#[test]
fn a_promotion_is_durable_before_its_first_change() {
    let pair = Pair::new();
    issue_new(&pair.primary, "a");
    pair.feed();
    pair.replica.promote(None).unwrap();
    let epochs = pair.replica.standing().epochs;
    let promoted = open_primary(&pair.crashed_replica("promoted"));
    assert_eq!(promoted.standing().epochs, epochs);
    assert_eq!(promoted.standing().leadership, Leadership::Own);
    issue_new(&promoted, "b");
    let second = Position {
        epoch: Epoch(2),
        sequence: Sequence(2),
    };
    assert_eq!(promoted.committed(), second);
    drop(promoted);
    let promoted = open_primary(&pair.scratch.path().join("promoted"));
    assert_eq!(promoted.committed(), second);
}

#[test]
fn a_database_that_forgot_an_epoch_of_its_changes_does_not_open() {
    let pair = Pair::new();
    let first = pair.primary.standing();
    pair.primary.step_down().unwrap();
    pair.primary.promote(None).unwrap();
    issue_new(&pair.primary, "a");
    pair.primary.store().write_first_state(&first).unwrap();
    let path = pair.scratch.path().join("forgetful");
    copy_of_one_moment(&pair.scratch.path().join("primary"), &path);
    let error = open_error(&path).to_string();
    assert!(error.contains("epoch 2"), "{error}");
}
