//! When keys were last changed through this proxy, in logical time.
//!
//! It guarantees that an answer which the upstream may have given before a change is not served
//! after the change was acknowledged, whichever of the two responses arrived first. An entry
//! remembers the logical time at which its answer was requested. A change moves the time of its key
//! forward before the client gets the response. Comparing the two times needs neither a lock nor an
//! index of entries.
//!
//! Keys share a fixed number of slots. A change therefore also invalidates entries of other keys in
//! its slot, which costs each of them one request to the upstream.

use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::limits;

/// What a change is about: one key id, one credential, or every key. Holds a hash (`None` = every
/// key).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject(Option<u64>);

impl Subject {
    /// Every key, for a change whose keys the proxy cannot tell.
    pub(crate) const ALL: Self = Self(None);

    /// The key with this id.
    pub(crate) fn key_id(key_id: &str) -> Self {
        Self::of(b"key id\0", key_id.as_bytes())
    }

    /// The key that this credential belongs to, whatever its id.
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

/// The number of changes recorded so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogicalTime(u64);

/// The time of the last change of every subject.
#[derive(Debug)]
pub(crate) struct Changes {
    now: AtomicU64,
    /// The last change of every key.
    all: AtomicU64,
    slots: Box<[AtomicU64]>,
}

impl Changes {
    /// No change so far.
    pub(crate) fn new() -> Self {
        Self {
            now: AtomicU64::new(0),
            all: AtomicU64::new(0),
            slots: (0..limits::CHANGE_SLOTS)
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// The current time. An answer requested after this call reflects every change recorded before
    /// it.
    pub(crate) fn now(&self) -> LogicalTime {
        LogicalTime(self.now.load(Ordering::SeqCst))
    }

    /// Invalidates every answer about `subject` that was requested before this call.
    pub(crate) fn record(&self, subject: Subject) {
        let time = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.slot(subject).fetch_max(time, Ordering::SeqCst);
    }

    /// Whether no change of `subject` was recorded after `time`.
    pub(crate) fn is_unchanged_since(&self, subject: Subject, time: LogicalTime) -> bool {
        [self.slot(subject), &self.all]
            .into_iter()
            .all(|slot| slot.load(Ordering::SeqCst) <= time.0)
    }

    fn slot(&self, subject: Subject) -> &AtomicU64 {
        let index = subject.0.map(|hash| hash % self.slots.len() as u64);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let slot = index.and_then(|index| self.slots.get(index));
        // The index is in range; if it were not, the change would count for every key.
        slot.unwrap_or(&self.all)
    }
}

/// A change that was sent to the upstream. Dropping it records the change: without a response
/// (the upstream failed, the client went away) the change may have happened.
#[derive(Debug)]
pub(crate) struct PendingChange<'a> {
    changes: &'a Changes,
    subjects: Vec<Subject>,
}

impl<'a> PendingChange<'a> {
    /// Call this before the request is sent to the upstream.
    pub(crate) fn new(changes: &'a Changes, subjects: Vec<Subject>) -> Self {
        Self { changes, subjects }
    }

    /// The upstream has answered with `status`. A 4xx status means that nothing was changed.
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
        assert!(changes.is_unchanged_since(key, LogicalTime(before.0 + 1)));
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
    fn an_unknown_outcome_counts_as_a_change() {
        for (status, changed) in [
            (Some(200), true),
            (Some(204), true),
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
