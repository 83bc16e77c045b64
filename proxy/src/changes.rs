//! When keys were last changed through this proxy.
//!
//! It guarantees that an answer which the upstream may have given before a change is not served after that change was
//! acknowledged, whichever of the two came back first. An answer is asked for at one moment and names its key; a change
//! moves the moment of its key forward before the client hears of it. Comparing the two needs neither an index of the
//! entries nor a lock. Keys are many and places few, so keys share places: a change then also ends answers of others,
//! which costs those a question to the upstream and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::limits;

/// What a change is about: the place of a key id or of a credential, or all places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject(Option<u64>);

impl Subject {
    /// Every key: which of them change is not known here.
    pub(crate) const ALL: Self = Self(None);

    /// The key of this id.
    pub(crate) fn key_id(key_id: &str) -> Self {
        Self::of(b"key id\0", key_id.as_bytes())
    }

    /// Whatever key this credential belongs to.
    pub(crate) fn credential(credential: &str) -> Self {
        Self::of(b"credential\0", credential.as_bytes())
    }

    fn of(kind: &[u8], text: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update(text)
            .finalize();
        let first = digest.first_chunk().copied().unwrap_or_default();
        Self(Some(u64::from_le_bytes(first)))
    }
}

/// A point in the order of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// The last change of every subject.
#[derive(Debug)]
pub(crate) struct Changes {
    count: AtomicU64,
    /// The last change of all of them.
    of_all: AtomicU64,
    places: Box<[AtomicU64]>,
}

impl Changes {
    /// No change so far.
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            of_all: AtomicU64::new(0),
            places: (0..limits::CHANGE_PLACES)
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// The present moment. An answer that is asked for after this call holds every change recorded before it.
    pub(crate) fn now(&self) -> Moment {
        Moment(self.count.load(Ordering::SeqCst))
    }

    /// Ends every answer about `subject` that was asked for before this call.
    pub(crate) fn record(&self, subject: Subject) {
        let moment = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        self.place(subject).fetch_max(moment, Ordering::SeqCst);
    }

    /// Whether `subject` has not changed since `moment`.
    pub(crate) fn is_unchanged_since(&self, subject: Subject, moment: Moment) -> bool {
        [self.place(subject), &self.of_all]
            .into_iter()
            .all(|place| place.load(Ordering::SeqCst) <= moment.0)
    }

    /// There is a place for every key; were there none, a change of the key would be one of all.
    fn place(&self, subject: Subject) -> &AtomicU64 {
        let index = subject.0.map(|number| number % self.places.len() as u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let place = index.and_then(|index| self.places.get(index));
        place.unwrap_or(&self.of_all)
    }
}

/// A change on its way to the upstream. Dropping it records the change, because an outcome that nobody knows may be a
/// change: an answer that did not arrive, a client that went away.
#[derive(Debug)]
pub(crate) struct PendingChange<'a> {
    changes: &'a Changes,
    subjects: Vec<Subject>,
}

impl<'a> PendingChange<'a> {
    /// A change of `subjects` that is about to be asked for.
    pub(crate) fn new(changes: &'a Changes, subjects: Vec<Subject>) -> Self {
        Self { changes, subjects }
    }

    /// The upstream has answered with `status`; by one of 4xx it says that nothing was changed.
    pub(crate) fn answered(mut self, status: u16) {
        if (400..500).contains(&status) {
            self.subjects.clear();
        }
    }
}

impl Drop for PendingChange<'_> {
    fn drop(&mut self) {
        for subject in &self.subjects {
            self.changes.record(*subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_was_asked_before_it_and_nothing_later() {
        let changes = Changes::new();
        let (key, other) = (Subject::key_id("a"), Subject::key_id("b"));
        let before = changes.now();
        assert!(changes.is_unchanged_since(key, before));
        changes.record(key);
        assert!(!changes.is_unchanged_since(key, before));
        assert!(changes.is_unchanged_since(other, before));
        assert!(changes.is_unchanged_since(key, changes.now()));
        changes.record(other);
        assert!(changes.is_unchanged_since(key, Moment(before.0 + 1)));
    }

    #[test]
    fn a_change_of_all_keys_ends_everything_that_was_asked_before_it() {
        let changes = Changes::new();
        let (key, before) = (Subject::key_id("a"), changes.now());
        changes.record(Subject::ALL);
        assert!(!changes.is_unchanged_since(key, before));
        assert!(changes.is_unchanged_since(key, changes.now()));
    }

    #[test]
    fn ids_and_credentials_are_different_subjects() {
        assert_ne!(Subject::key_id("a"), Subject::credential("a"));
    }

    #[test]
    fn an_outcome_that_nobody_knows_is_a_change() {
        for (status, changed) in [
            (Some(200), true),
            (Some(404), false),
            (Some(409), false),
            (Some(503), true),
            (None, true),
        ] {
            let changes = Changes::new();
            let before = changes.now();
            let pending = PendingChange::new(&changes, vec![Subject::key_id("a")]);
            match status {
                Some(status) => pending.answered(status),
                None => drop(pending),
            }
            let unchanged = changes.is_unchanged_since(Subject::key_id("a"), before);
            assert_eq!(unchanged, !changed, "{status:?}");
        }
    }
}
