//! Full copies of a node, and the changes that are applied after them.

use std::sync::atomic::{AtomicBool, Ordering};

use talos_model::{Rejection, RequestField};

use super::*;

#[test]
fn a_copy_is_consistent_with_its_position_and_the_tail_follows_it() {
    let pair = Pair::new();
    make_changes_of_all_kinds(&pair.primary, "a");
    let at_copy = pair.primary.state_hash().unwrap();
    let snapshot = pair.primary.snapshot().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            // A limited number: a wrong copy that includes later changes would otherwise never end.
            while !is_over.load(Ordering::SeqCst) && number < 40 {
                make_changes_of_all_kinds(&pair.primary, &format!("meanwhile-{number}"));
                number += 1;
            }
        });
        begin(&pair.primary, &snapshot, &pair.replica);
        finish_copy(&snapshot, &pair.replica);
        assert_eq!(pair.replica.state_hash().unwrap(), at_copy);
        assert_eq!(pair.replica.committed(), snapshot.position());
        while pair.primary.committed() == snapshot.position() {
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::SeqCst);
    });
    pair.feed();
    assert_equal(&pair.primary, &pair.replica);
    let request = |name| elsewhere("a-elsewhere", name);
    let (record, secret) = issue(&pair.primary, request("elsewhere"));
    assert_eq!(secret, None, "the primary knows the request");
    pair.replica.promote(None).unwrap();
    let (copied, secret) = issue(&pair.replica, request("elsewhere"));
    assert_eq!((copied, secret), (record.clone(), None), "so does the copy");
    let other = submit(&pair.replica, Command::Issue(request("other")));
    let reused = Rejection::RequestIdReused {
        field: RequestField::Name,
        key_id: record.key_id,
        sequence: record.sequence,
    };
    assert_eq!(other.unwrap_err(), CommandError::Rejected(reused));
}

#[test]
fn a_copy_replaces_everything_in_memory() {
    let pair = Pair::new();
    let raw = ["deleted-later-on", "revoked-later-on", "kept-all-the-time"];
    let keys = raw.map(|raw| import(&pair.primary, raw, None));
    pair.feed();
    let ask = |raw| verify(&pair.replica, raw, CacheMode::Use);
    for raw in raw {
        ask(raw);
        assert_eq!(ask(raw), (valid(raw), CacheStatus::Hit));
    }
    delete(&pair.primary, keys[0]);
    revoke(&pair.primary, keys[1]).unwrap();
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &pair.replica);
    finish_copy(&snapshot, &pair.replica);
    assert_eq!(ask(raw[0]).0, OwnedVerdict::Refused(Refusal::NotFound));
    assert_eq!(ask(raw[1]).0, OwnedVerdict::Refused(Refusal::Revoked));
    assert_eq!(ask(raw[2]).0, valid(raw[2]));
}

/// The copied records have lower sequences than those in the cells. Sequences of two histories
/// cannot be compared.
#[test]
fn a_diverged_node_begins_anew_with_older_sequences() {
    let pair = Pair::new();
    let raw = "known-to-both-of-them";
    import(&pair.primary, raw, None);
    let lost = "of-the-diverged-one";
    let diverged = open(&pair.scratch.path().join("diverged"));
    for name in ["x", "y", "z"] {
        issue_new(&diverged, name);
    }
    let revoked = import(&diverged, raw, None);
    import(&diverged, lost, None);
    revoke(&diverged, revoked).unwrap();
    refused(&diverged, raw, Refusal::Revoked);
    assert_eq!(verify(&diverged, lost, CacheMode::Use).0, valid(lost));

    diverged.step_down().unwrap();
    let epochs = pair.primary.standing().epochs;
    let fork = FollowError::Diverged { at: Sequence(1) };
    assert_eq!(diverged.adopt(epochs), Err(fork));
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &diverged);
    finish_copy(&snapshot, &diverged);
    assert_eq!(verify(&diverged, raw, CacheMode::Use).0, valid(raw));
    refused(&diverged, lost, Refusal::NotFound);
    revoke(&pair.primary, imported(raw)).unwrap();
    feed(&pair.primary, &diverged);
    refused(&diverged, raw, Refusal::Revoked);
    assert_equal(&pair.primary, &diverged);
}

#[test]
fn rows_may_come_again_but_not_out_of_order_nor_of_another_copy() {
    let pair = Pair::new();
    make_changes_of_all_kinds(&pair.primary, "a");
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &pair.replica);
    let place = place(&snapshot);
    let first = chunk_after(&snapshot, &place.cursor);
    let other = CopyName([8; 16]);
    let none = pair.replica.install(other, first.clone());
    assert_eq!(none, Err(FollowError::NoCopy));
    let mut backwards = first.clone();
    backwards.rows.reverse();
    let mut early = first.clone();
    early.end = CopyEnd::Last;
    let mut cut_short = first.clone();
    cut_short.rows[0].value.truncate(7);
    for malformed in [backwards, early, cut_short] {
        let refused = pair.replica.install(place.name, malformed);
        assert!(
            matches!(refused, Err(FollowError::Malformed(_))),
            "{refused:?}"
        );
        assert_eq!(pair.replica.standing().copying.as_ref(), Some(&place));
    }
    pair.replica.install(place.name, first.clone()).unwrap();
    pair.replica.install(place.name, first.clone()).unwrap();
    let second = chunk_after(&snapshot, &first.rows[1].cursor());
    assert_eq!(second.rows[0], first.rows[2]);
    pair.replica.install(place.name, second).unwrap();
    finish_copy(&snapshot, &pair.replica);
    assert_equal(&pair.primary, &pair.replica);
    let over = pair.replica.install(place.name, first);
    assert_eq!(over, Err(FollowError::NoCopy));
}

#[test]
fn an_empty_node_is_copied_too() {
    let pair = Pair::new();
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &pair.replica);
    finish_copy(&snapshot, &pair.replica);
    assert_equal(&pair.primary, &pair.replica);
    issue_new(&pair.primary, "a");
    pair.feed();
    assert_equal(&pair.primary, &pair.replica);
}

#[test]
fn the_number_of_snapshots_is_limited_and_dropping_one_frees_it() {
    let pair = Pair::new();
    let open = || pair.primary.snapshot();
    let held: Vec<_> = std::iter::repeat_with(open)
        .take(SNAPSHOTS)
        .map(Result::unwrap)
        .collect();
    assert!(matches!(open(), Err(crate::SnapshotError::Busy)));
    drop(held);
    assert!(open().is_ok());
}
