//! Changes that a replica refuses do not alter it.

use std::sync::atomic::{AtomicBool, Ordering};

use talos_model::{LogRead, ReadLimits};

use super::*;
use crate::storage::{
    Group, Journal, MembershipWrite as Written, ReopenError, Reopened, StorageError,
};

/// Applies changes that must be refused for this reason, and checks that the replica is unchanged.
fn refuses(replica: &Engine, changes: Vec<LoggedChange>, reason: &FollowError) {
    let before = (replica.committed(), replica.state_hash().unwrap());
    assert_eq!(replica.apply(changes).as_ref(), Err(reason));
    assert_eq!((replica.committed(), replica.state_hash().unwrap()), before);
}

#[test]
fn a_gap_is_refused_with_all_that_comes_with_it() {
    let pair = Pair::new();
    for _ in 0..6 {
        issue_new(&pair.primary, "a");
    }
    let changes = all_after(&pair.primary, Position::START);
    pair.replica.apply(changes[..2].to_vec()).unwrap();
    let gap = |expected, found| FollowError::Gap {
        expected: Sequence(expected),
        found: Sequence(found),
    };
    refuses(&pair.replica, changes[3..].to_vec(), &gap(3, 4));
    let hole = [&changes[2..4], &changes[5..]].concat();
    refuses(&pair.replica, hole, &gap(5, 6));
    let backwards = [&changes[2..4], &changes[2..3]].concat();
    refuses(&pair.replica, backwards, &gap(5, 3));
    pair.feed();
    assert_equal(&pair.primary, &pair.replica);
}

#[test]
fn known_changes_are_skipped() {
    let pair = Pair::new();
    make_changes_of_all_kinds(&pair.primary, "a");
    let changes = all_after(&pair.primary, Position::START);
    pair.replica.apply(changes[..5].to_vec()).unwrap();
    let head = pair.replica.committed();
    assert_eq!(pair.replica.apply(changes[..3].to_vec()), Ok(head));
    assert_eq!(pair.replica.apply(Vec::new()), Ok(head));
    let last = changes.last().unwrap().position;
    assert_eq!(pair.replica.apply(changes.clone()), Ok(last));
    assert_eq!(pair.replica.apply(changes), Ok(last));
    assert_equal(&pair.primary, &pair.replica);
}

#[test]
fn another_change_of_the_same_place_is_refused() {
    let pair = Pair::new();
    let rival = Pair::new();
    issue_new(&pair.primary, "a");
    issue_new(&rival.primary, "b");
    pair.feed();
    let changes = all_after(&rival.primary, Position::START);
    let diverged = FollowError::Diverged { at: Sequence(1) };
    refuses(&pair.replica, changes, &diverged);
}

#[test]
fn an_epoch_must_be_known_and_be_the_one_of_its_sequence() {
    let pair = Pair::new();
    issue_new(&pair.primary, "a");
    pair.feed();
    issue_new(&pair.primary, "b");
    let mut changes = all_after(&pair.primary, pair.replica.committed());
    changes[0].position.epoch = Epoch(2);
    let unknown = FollowError::UnknownEpoch { found: Epoch(2) };
    refuses(&pair.replica, changes.clone(), &unknown);
    changes[0].position.epoch = Epoch(0);
    let older = FollowError::OlderEpoch {
        known: Epoch(1),
        found: Epoch(0),
    };
    refuses(&pair.replica, changes, &older);
}

#[test]
fn unreadable_changes_are_refused() {
    let pair = Pair::new();
    issue_new(&pair.primary, "a");
    issue_new(&pair.primary, "b");
    let changes = all_after(&pair.primary, Position::START);
    let malformed = |changes: Vec<LoggedChange>| {
        let refused = pair.replica.apply(changes);
        assert!(
            matches!(refused, Err(FollowError::Malformed(_))),
            "{refused:?}"
        );
        assert_eq!(pair.replica.committed(), Position::START);
    };
    for cut in [0, 1, 9, changes[1].bytes.len() - 1] {
        let mut cut_short = changes.clone();
        cut_short[1].bytes.truncate(cut);
        malformed(cut_short);
    }
    let mut other_version = changes.clone();
    other_version[0].bytes[0] = 9;
    malformed(other_version);
    // The change of another sequence: its record has an older sequence.
    let mut misplaced = changes.clone();
    misplaced[1].bytes = changes[0].bytes.clone();
    malformed(misplaced);
    pair.feed();
    assert_equal(&pair.primary, &pair.replica);
}

struct Failing {
    journal: Box<dyn Journal>,
    fail: Arc<AtomicBool>,
}

impl Journal for Failing {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        if self.fail.load(Ordering::SeqCst) {
            return Err(StorageError::Io("no space left on device".to_owned()));
        }
        self.journal.append(group)
    }

    fn write_membership(&mut self, step: &Written<'_>) -> Result<(), StorageError> {
        self.journal.write_membership(step)
    }

    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.journal.change_at(position)
    }

    fn changes_after(
        &self,
        after: Position,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        self.journal.changes_after(after, up_to, limits)
    }

    fn reopen(
        &mut self,
        before_readers: &mut dyn FnMut(Position),
    ) -> Result<Reopened, ReopenError> {
        self.journal.reopen(before_readers)
    }
}

#[test]
fn a_failed_write_latches_and_shows_nothing() {
    let pair = Pair::new();
    let path = pair.scratch.path().join("failing");
    let fail = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fail);
    let wrap = move |journal| {
        Box::new(Failing {
            journal,
            fail: failing,
        }) as Box<dyn Journal>
    };
    let replica = Engine::open_with(options(&path), Mode::Replica, |rows| rows, wrap).unwrap();
    replica.adopt(pair.primary.standing().epochs).unwrap();
    let (key_id, credential) = issue_new(&pair.primary, "a");
    feed(&pair.primary, &replica);
    assert_eq!(verify(&replica, &credential, CacheMode::Use).0, valid("a"));
    revoke(&pair.primary, key_id).unwrap();
    let changes = all_after(&pair.primary, replica.committed());
    fail.store(true, Ordering::SeqCst);
    let latched = FollowError::Latched("no space left on device".to_owned());
    assert_eq!(replica.apply(changes.clone()), Err(latched.clone()));
    fail.store(false, Ordering::SeqCst);
    assert_eq!(replica.apply(changes), Err(latched.clone()));
    assert_eq!(replica.promote(None), Err(latched));
    assert_eq!(verify(&replica, &credential, CacheMode::Use).0, valid("a"));
    drop(replica);
    let replica = open_replica(&path);
    feed(&pair.primary, &replica);
    refused(&replica, &credential, Refusal::Revoked);
}
