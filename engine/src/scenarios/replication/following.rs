//! A replica applies the changes of its primary.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

#[test]
fn a_replica_holds_what_its_primary_holds() {
    let pair = Pair::new();
    for name in ["a", "b"] {
        make_changes_of_all_kinds(&pair.primary, name);
        pair.feed();
        assert_equal(&pair.primary, &pair.replica);
    }
    let before = pair.primary.state_hash().unwrap();
    let (key_id, _) = issue_new(&pair.primary, "c");
    let with = pair.primary.state_hash().unwrap();
    assert_ne!(before.records_hash, with.records_hash);
    revoke(&pair.primary, key_id).unwrap();
    let revoked = pair.primary.state_hash().unwrap();
    assert_eq!(with.records, revoked.records);
    assert_ne!(with.records_hash, revoked.records_hash);
}

#[test]
fn a_verdict_changes_with_the_change() {
    let pair = Pair::new();
    let (key_id, credential) = issue_new(&pair.primary, "a");
    let raw = "an-imported-key-of-another-system";
    let imported = import(&pair.primary, raw, None);
    pair.feed();
    for credential in [credential.as_str(), raw] {
        assert!(matches!(
            verify(&pair.replica, credential, CacheMode::Use).0,
            OwnedVerdict::Valid(_)
        ));
    }
    let (_, status) = verify(&pair.replica, &credential, CacheMode::Use);
    assert_eq!(status, CacheStatus::Hit, "it is in a cell");
    rename(&pair.primary, key_id, "b");
    pair.feed();
    let (verdict, status) = verify(&pair.replica, &credential, CacheMode::Use);
    assert_eq!((verdict, status), (valid("b"), CacheStatus::Hit));
    revoke(&pair.primary, key_id).unwrap();
    delete(&pair.primary, imported);
    pair.feed();
    refused(&pair.replica, &credential, Refusal::Revoked);
    refused(&pair.replica, raw, Refusal::NotFound);
}

#[test]
fn concurrent_verifications_never_see_an_older_state() {
    let pair = Pair::new();
    let keys: Vec<_> = (0..32).map(|_| issue_new(&pair.primary, "a")).collect();
    pair.feed();
    let (revoked, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                for (number, (_, credential)) in (0..).zip(&keys) {
                    let is_revoked = revoked.load(Ordering::SeqCst) > number;
                    let verdict = verify(&pair.replica, credential, CacheMode::Use).0;
                    let is_refused = verdict == OwnedVerdict::Refused(Refusal::Revoked);
                    assert!(is_refused || !is_revoked, "{number}: {verdict:?}");
                }
            }
        });
        for (number, (key_id, _)) in (1..).zip(&keys) {
            revoke(&pair.primary, *key_id).unwrap();
            pair.feed();
            revoked.store(number, Ordering::SeqCst);
        }
        is_over.store(true, Ordering::SeqCst);
    });
}

#[test]
fn each_role_refuses_the_work_of_the_other() {
    let pair = Pair::new();
    assert_eq!(pair.replica.mode(), Mode::Replica);
    let refused = submit(&pair.replica, Command::Issue(key("a")));
    assert_eq!(refused.unwrap_err(), CommandError::Replica);
    issue_new(&pair.primary, "a");
    let changes = all_after(&pair.primary, Position::START);
    assert_eq!(pair.primary.apply(changes), Err(FollowError::Primary));
    let epochs = pair.primary.standing().epochs;
    assert_eq!(pair.primary.adopt(epochs), Err(FollowError::Primary));
    assert_eq!(pair.primary.promote(None), Err(FollowError::Primary));
    assert_eq!(pair.replica.step_down(), Err(FollowError::Replica));
    assert_eq!(pair.replica.committed(), Position::START);
}

#[test]
fn listeners_are_called_when_changes_are_visible() {
    let pair = Pair::new();
    let (key_id, credential) = issue_new(&pair.primary, "a");
    pair.feed();
    assert_eq!(
        verify(&pair.replica, &credential, CacheMode::Use).0,
        valid("a")
    );
    let (sender, heads) = channel();
    let replica = Arc::downgrade(&pair.replica);
    let watch = pair.replica.watch(move |head| {
        let replica = replica.upgrade().expect("an engine");
        let seen = verify(&replica, &credential, CacheMode::Use).0;
        sender
            .send((head, replica.committed(), seen))
            .expect("a receiver");
    });
    revoke(&pair.primary, key_id).unwrap();
    pair.feed();
    let head = pair.primary.committed();
    let revoked = OwnedVerdict::Refused(Refusal::Revoked);
    assert_eq!(heads.recv().unwrap(), (head, head, revoked));
    drop(watch);
    issue_new(&pair.primary, "c");
    pair.feed();
    assert!(heads.recv().is_err(), "the listener is not called again");
    let watches: Vec<_> = std::iter::repeat_with(|| pair.primary.watch(|_| ()))
        .take(crate::limits::HEAD_WATCHERS + 1)
        .collect();
    assert!(watches.iter().rev().skip(1).all(Option::is_some));
    assert!(watches.last().is_some_and(Option::is_none));
}
