//! A replica becomes the primary.

use super::*;

#[test]
fn the_old_primary_is_refused_and_can_follow_when_it_holds_nothing_more() {
    let pair = Pair::new();
    let (key_id, credential) = issue_new(&pair.primary, "a");
    pair.feed();
    let other = open_replica(&pair.scratch.path().join("other"));
    other.adopt(pair.primary.standing().epochs).unwrap();
    feed(&pair.primary, &other);
    pair.replica.promote(None).unwrap();
    assert_eq!(pair.replica.mode(), Mode::Primary);
    revoke(&pair.replica, key_id).unwrap();
    issue_new(&pair.replica, "b");
    let second = |sequence| Position {
        epoch: Epoch(2),
        sequence: Sequence(sequence),
    };
    assert_eq!(pair.replica.committed(), second(3));

    let changes = all_after(&pair.replica, other.committed());
    let unknown = FollowError::UnknownEpoch { found: Epoch(2) };
    assert_eq!(other.apply(changes), Err(unknown), "not adopted yet");
    other.adopt(pair.replica.standing().epochs).unwrap();

    // From now on no node accepts what the old primary writes.
    let old_epochs = pair.primary.standing().epochs;
    issue_new(&pair.primary, "late");
    let late = all_after(&pair.primary, other.committed());
    let older = FollowError::OlderEpoch {
        known: Epoch(2),
        found: Epoch(1),
    };
    assert_eq!(other.apply(late), Err(older.clone()));
    assert_eq!(other.adopt(old_epochs.clone()), Err(older.clone()));
    let snapshot = pair.primary.snapshot().unwrap();
    let copied = other.begin_copy(
        pair.primary.standing().cluster,
        old_epochs,
        place(&snapshot),
    );
    assert_eq!(copied, Err(older));
    feed(&pair.replica, &other);
    assert_equal(&pair.replica, &other);
    refused(&other, &credential, Refusal::Revoked);

    pair.primary.step_down().unwrap();
    let beyond = FollowError::Diverged { at: Sequence(2) };
    let epochs = pair.replica.standing().epochs;
    assert_eq!(pair.primary.adopt(epochs), Err(beyond));
    other.promote(None).unwrap();
    issue_new(&other, "c");
    pair.replica.step_down().unwrap();
    pair.replica.adopt(other.standing().epochs).unwrap();
    feed(&other, &pair.replica);
    assert_equal(&other, &pair.replica);
    assert_eq!(other.committed().epoch, Epoch(3));
}

#[test]
fn changes_of_two_epochs_follow_one_another() {
    let pair = Pair::new();
    for name in ["a", "b"] {
        make_changes_of_all_kinds(&pair.primary, name);
        pair.primary.step_down().unwrap();
        pair.primary.promote(None).unwrap();
    }
    issue_new(&pair.primary, "c");
    pair.replica.adopt(pair.primary.standing().epochs).unwrap();
    pair.feed();
    assert_equal(&pair.primary, &pair.replica);
    let all = all_after(&pair.primary, Position::START);
    let other = open_replica(&pair.scratch.path().join("other"));
    other.adopt(pair.primary.standing().epochs).unwrap();
    other.apply(all).expect("all of them at once");
    assert_equal(&pair.primary, &other);
}

#[test]
fn an_epoch_is_given_once() {
    let pair = Pair::new();
    issue_new(&pair.primary, "a");
    pair.feed();
    let passed = pair.replica.promote(Some(Epoch(1)));
    assert!(matches!(passed, Err(FollowError::EpochHistory(_))));
    assert_eq!(pair.replica.mode(), Mode::Replica);
    pair.replica.promote(Some(Epoch(7))).unwrap();
    assert_eq!(pair.replica.standing().epochs.newest(), Epoch(7));
    // Two nodes that were promoted to the same epoch number differ in the epoch's id.
    pair.primary.step_down().unwrap();
    pair.primary.promote(Some(Epoch(7))).unwrap();
    issue_new(&pair.primary, "b");
    pair.primary.step_down().unwrap();
    let rival = pair.replica.standing().epochs;
    let diverged = FollowError::Diverged { at: Sequence(2) };
    assert_eq!(pair.primary.adopt(rival), Err(diverged));
}

#[test]
fn a_replica_does_not_start_as_a_primary() {
    let pair = Pair::new();
    issue_new(&pair.primary, "a");
    pair.feed();
    let path = pair.crashed_replica("restarted");
    let error = open_as(&path, Mode::Primary).err();
    assert!(matches!(error, Some(OpenError::Replica { epoch: 1, .. })));
    let replica = open_replica(&path);
    replica.promote(None).unwrap();
    drop(replica);
    issue_new(&open_primary(&path), "b");

    pair.primary.step_down().unwrap();
    let refused = submit(&pair.primary, Command::Issue(key("b")));
    assert_eq!(refused.unwrap_err(), CommandError::Replica);
    let Pair {
        primary, scratch, ..
    } = pair;
    drop(primary);
    let error = open_error(&scratch.path().join("primary"));
    assert!(matches!(error, OpenError::Replica { .. }));
}
