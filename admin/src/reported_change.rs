//! The changes that an answer rests on. Replicas must have them before it is given.
//!
//! An answer that reports no change waits for nothing. An answer that reports an earlier change,
//! such as "already revoked", waits for that one, and not for changes of others.
//!
//! The audit log learns from here what neither the path nor the answer of a request names. The
//! secret of the answer waits here until it is clear whether the answer is sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use talos_api::error::ApiError;
use talos_engine::Engine;
use talos_model::{Epoch, KeyId, Position, Record, RecordKey, Sequence};

use crate::limits::DELETIONS;
use crate::unsent_secrets::UnsentSecret;

/// The newest change that an answer rests on.
#[derive(Debug)]
pub(crate) struct ReportedChange {
    sequence: AtomicU64,
    /// The key of a credential that proved itself.
    key_id: OnceLock<KeyId>,
    /// Set when the request changed nothing, because what it asks for was done before.
    nothing: AtomicBool,
    /// The secret that the answer shows.
    secret: Mutex<Option<UnsentSecret>>,
}

/// No action has named a change.
const UNKNOWN: u64 = u64::MAX;

impl ReportedChange {
    /// The change of an answer that is not there yet.
    pub(crate) fn new() -> Self {
        Self {
            sequence: AtomicU64::new(UNKNOWN),
            key_id: OnceLock::new(),
            nothing: AtomicBool::new(false),
            secret: Mutex::new(None),
        }
    }

    fn secret(&self) -> MutexGuard<'_, Option<UnsentSecret>> {
        self.secret.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer shows this secret, if it is sent.
    pub(crate) fn shows(&self, secret: UnsentSecret) {
        *self.secret() = Some(secret);
    }

    /// What [`Self::shows`] was given.
    pub(crate) fn take_secret(&self) -> Option<UnsentSecret> {
        self.secret().take()
    }

    /// The 503 in place of an answer that is not sent. If that shows a secret, the error names the
    /// key and says what the client can do.
    pub(crate) fn not_sent(&self, message: &str, otherwise: &str) -> ApiError {
        let secret = self.secret();
        let Some(secret) = secret.as_ref() else {
            return ApiError::service_unavailable(format!("{message}{otherwise}"));
        };
        let error = ApiError::service_unavailable(format!("{message}; {}", secret.remedy()));
        match secret.key_id() {
            Some(key_id) => error.about_key(key_id),
            None => error,
        }
    }

    /// The request concerns this key.
    pub(crate) fn concerns(&self, key_id: KeyId) {
        // Set once: a request shows one credential.
        let _ = self.key_id.set(key_id);
    }

    /// The key that the request concerns, if its path does not say it.
    pub(crate) fn key_id(&self) -> Option<KeyId> {
        self.key_id.get().copied()
    }

    /// The request changed nothing.
    pub(crate) fn nothing(&self) {
        self.nothing.store(true, Ordering::Relaxed);
    }

    /// Whether the request changed nothing.
    pub(crate) fn changed_nothing(&self) -> bool {
        self.nothing.load(Ordering::Relaxed)
    }

    /// The answer rests on nothing newer than `sequence`.
    pub(crate) fn is(&self, sequence: Sequence) {
        self.sequence.store(sequence.0, Ordering::Relaxed);
    }

    /// The answer shows `record` and nothing else that may change. The record comes from the
    /// committing thread: its sequence includes its end by a bulk revocation.
    pub(crate) fn is_record(&self, record: &Record) {
        self.is(record.sequence);
    }

    /// What an action has named.
    pub(crate) fn named(&self) -> Option<Sequence> {
        match self.sequence.load(Ordering::Relaxed) {
            UNKNOWN => None,
            sequence => Some(Sequence(sequence)),
        }
    }
}

/// The deletions of keys. "There is no such key" rests on the deletion, and no record is left that
/// would name it.
#[derive(Debug)]
pub(crate) struct Deletions(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// The epoch of these deletions. Other nodes made those before it.
    epoch: Epoch,
    /// Any key may have been deleted up to here.
    floor: Sequence,
    /// The keys that were deleted after `floor`, and those whose deletion is under way.
    keys: HashMap<RecordKey, Deleted>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Deleted {
    /// Deletions of the key that are under way.
    running: usize,
    /// The newest change that may be its deletion; 0 = there was none.
    at: Sequence,
}

impl Deletions {
    /// The deletions of a node that starts at `head`.
    pub(crate) fn new(head: Position) -> Self {
        Self(Mutex::new(Known {
            epoch: head.epoch,
            floor: head.sequence,
            keys: HashMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deletion of a key begins. It ends when the returned value is dropped.
    pub(crate) fn begin<'a>(&'a self, engine: &'a Engine, key: RecordKey) -> Deletion<'a> {
        self.lock().begin(engine.committed(), key);
        Deletion {
            deletions: self,
            engine,
            key,
            found: true,
        }
    }

    /// The newest change, up to `head`, that the absence of a key may rest on. Call it after
    /// looking for the key.
    pub(crate) fn newest(&self, head: Position, key: &RecordKey) -> Sequence {
        let mut known = self.lock();
        known.enter(head);
        match known.keys.get(key) {
            Some(deleted) if deleted.running > 0 => head.sequence,
            Some(deleted) => deleted.at,
            None => known.floor,
        }
    }
}

impl Known {
    /// A later epoch begins with the log of another node, or with a full copy of it.
    fn enter(&mut self, head: Position) {
        if self.epoch != head.epoch {
            self.epoch = head.epoch;
            self.floor = self.floor.max(head.sequence);
        }
    }

    fn begin(&mut self, head: Position, key: RecordKey) {
        self.enter(head);
        if self.keys.len() >= DELETIONS {
            // Those under way stay known.
            self.keys.retain(|_, deleted| deleted.running > 0);
            self.floor = self.floor.max(head.sequence);
        }
        self.keys.entry(key).or_default().running += 1;
    }

    /// A deletion has ended. `at` is the newest change that may be it; `None` if there was no such
    /// key.
    fn end(&mut self, key: &RecordKey, at: Option<Sequence>) {
        let Some(deleted) = self.keys.get_mut(key) else {
            return;
        };
        deleted.running -= 1;
        deleted.at = deleted.at.max(at.unwrap_or_default());
        if deleted.running == 0 && deleted.at == Sequence::default() {
            self.keys.remove(key);
        }
    }
}

/// A deletion that is under way.
pub(crate) struct Deletion<'a> {
    deletions: &'a Deletions,
    engine: &'a Engine,
    key: RecordKey,
    found: bool,
}

impl Deletion<'_> {
    /// There was no such key.
    pub(crate) fn found_nothing(&mut self) {
        self.found = false;
    }
}

impl Drop for Deletion<'_> {
    fn drop(&mut self) {
        let head = self.engine.committed();
        let at = self.found.then_some(head.sequence);
        self.deletions.lock().end(&self.key, at);
    }
}

#[cfg(test)]
mod tests {
    use talos_model::TenantId;

    use super::*;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        }
    }

    fn key(number: u64) -> RecordKey {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_be_bytes());
        RecordKey::new(TenantId::SINGLE, KeyId::Imported(digest))
    }

    #[test]
    fn an_absent_key_rests_on_what_may_have_deleted_it() {
        let deletions = Deletions::new(at(1, 5));
        assert_eq!(deletions.newest(at(1, 9), &key(1)), Sequence(5));
        deletions.lock().begin(at(1, 9), key(1));
        deletions.lock().begin(at(1, 9), key(1));
        deletions.lock().begin(at(1, 9), key(2));
        assert_eq!(deletions.newest(at(1, 10), &key(1)), Sequence(10));
        deletions.lock().end(&key(1), Some(Sequence(10)));
        assert_eq!(deletions.newest(at(1, 11), &key(1)), Sequence(11));
        // The other two find no such key.
        deletions.lock().end(&key(1), None);
        deletions.lock().end(&key(2), None);
        assert_eq!(deletions.newest(at(1, 12), &key(1)), Sequence(10));
        assert_eq!(deletions.newest(at(1, 12), &key(2)), Sequence(5));
        // This node was promoted: it does not know what the changes before did.
        assert_eq!(deletions.newest(at(2, 12), &key(2)), Sequence(12));
        assert_eq!(deletions.newest(at(2, 20), &key(2)), Sequence(12));
    }

    #[test]
    fn forgotten_deletions_are_waited_for_all_the_same() {
        let deletions = Deletions::new(at(1, 0));
        for number in 0..=DELETIONS as u64 {
            let head = at(1, number + 1);
            deletions.lock().begin(head, key(number));
            deletions.lock().end(&key(number), Some(head.sequence));
        }
        let head = at(1, DELETIONS as u64 + 9);
        let floor = Sequence(DELETIONS as u64 + 1);
        assert_eq!(deletions.newest(head, &key(0)), floor);
        assert!(deletions.lock().keys.len() <= DELETIONS);
    }
}
