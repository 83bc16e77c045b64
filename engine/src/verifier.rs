//! The path of a verification through the engine.

mod bring;
mod closing;
mod known;
mod many;
mod prove;
mod ruled;
mod step;

#[cfg(test)]
pub use prove::SIGNATURE_CHECKS;
pub use step::{PendingRead, Step};

use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use step::Target;
use talos_cells::{Guard, State, Swap, pin};
use talos_credentials::{Keyring, proof_digest};
use talos_model::clock::UnixMillis;
use talos_model::{
    Answer, CacheMode, CacheStatus, Change, Query, Record, RecordKey, Refusal, Rules, Sequence,
    Subject, Verdict,
};

use crate::cache::{KeyCache, KeyCell, Proven};
use crate::render::{RenderBody, RenderTokenBody};
use crate::row::{Current, Row};
use crate::shards::Shards;
use crate::storage::{InMemory, Rows, StorageError};
use crate::usage::Usage;

/// What an answer rests on that needs no record.
const NO_CHANGE: Sequence = Sequence(0);

/// Answers queries, from memory where it can. Shared by all cores; takes no lock.
pub struct Verifier {
    rows: Arc<dyn Rows>,
    shards: Shards,
    cache: Option<Arc<KeyCache>>,
    cache_ttl_s: i64,
    current: Swap<Current>,
    render: RenderBody,
    render_token: RenderTokenBody,
    usage: Usage,
    /// Keeps changes of `current` from overlapping. No verification takes it.
    changes: Mutex<()>,
    /// See `closing.rs`.
    is_closed: AtomicBool,
}

impl Verifier {
    /// A verifier over `rows`; `cache_bytes` = 0 keeps nothing in memory.
    pub fn new(
        rows: Arc<dyn Rows>,
        shards: Shards,
        cache_bytes: usize,
        cache_ttl_s: u32,
        (keyring, rules): (Keyring, Rules),
        (render, render_token): (RenderBody, RenderTokenBody),
        usage: Usage,
    ) -> Self {
        let cache = (cache_bytes > 0).then(|| Arc::new(KeyCache::new(cache_bytes)));
        let current = Swap::new(Current {
            generation: 0,
            rules,
            keyring: Arc::new(keyring),
        });
        Self {
            rows,
            shards,
            cache,
            cache_ttl_s: cache_ttl_s.into(),
            current,
            render,
            render_token,
            usage,
            changes: Mutex::new(()),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The keyring of this moment.
    pub fn current<'g>(&self, guard: &'g Guard) -> &'g Current {
        self.current.load(guard)
    }

    /// Swaps the keyring and voids every proof.
    pub fn set_keyring(&self, keyring: Keyring) {
        self.change(|current| Current {
            generation: current.generation + 1,
            rules: current.rules.clone(),
            keyring: Arc::new(keyring),
        });
    }

    fn change(&self, change: impl FnOnce(&Current) -> Current) {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = pin();
        let changed = change(self.current.load(&guard));
        self.current.store(changed, &guard);
    }

    /// Bytes of cells, rows and proofs.
    pub fn cache_used_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.used_bytes())
    }

    /// Leaves the memory of cells and proofs to the end of the process, which frees it at once.
    pub fn leak_cells(&self) {
        mem::forget(self.cache.clone());
    }

    /// How often keys are used.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Where records are read.
    pub fn rows(&self) -> &Arc<dyn Rows> {
        &self.rows
    }

    /// Brings a durable change to the cells. When this returns, nobody is answered from the state before it.
    pub fn publish(&self, change: &Change, now: UnixMillis) {
        let record = match &change.subject {
            Subject::Key(record) => record,
            Subject::Rule(rule) => return self.publish_rule(change.event, rule),
        };
        let Some(cache) = &self.cache else { return };
        let key = RecordKey::new(record.tenant, record.key_id);
        let guard = pin();
        let current = self.current.load(&guard);
        let row = || {
            if change.deletes() {
                Row::forgotten(record, current, now)
            } else {
                // No rule is about a record that is newer.
                self.row(&key, record, &Rules::default(), now, &guard)
            }
        };
        cache.publish(&key, self.shards.hash(&key), &guard, row);
    }

    /// The row of a record that was read under these rules, and is as they make it.
    fn row(
        &self,
        key: &RecordKey,
        record: &Record,
        rules: &Rules,
        now: UnixMillis,
        guard: &Guard,
    ) -> Row {
        let row = Row::new(record, rules, self.current.load(guard), self.render, now);
        self.usage.metered(key, row, guard)
    }

    /// Answers from memory or says what has to be read from disk.
    pub fn verify<R>(
        &self,
        query: &Query<'_>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> Step<R, Target> {
        self.verify_digested(query, None, answer)
    }

    /// The same with the digest of the credential, if that is known already.
    fn verify_digested<R>(
        &self,
        query: &Query<'_>,
        digest: Option<[u8; 32]>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> Step<R, Target> {
        let status = match query.cache {
            CacheMode::Use => CacheStatus::Miss,
            CacheMode::Refresh | CacheMode::Bypass => CacheStatus::Skip,
        };
        let refused = |refusal| Answer::new(Verdict::Refused(refusal), status, NO_CHANGE);
        if self.is_closed() {
            return Step::Answered(answer(refused(Refusal::Internal)));
        }
        if !query.has_length_of_credential() {
            return Step::Answered(answer(refused(Refusal::InvalidFormat)));
        }
        let guard = pin();
        let current = self.current.load(&guard);
        let digest = digest.unwrap_or_else(|| proof_digest(query.tenant, query.credential));
        if query.cache == CacheMode::Use
            && let Some((verdict, sequence)) = self.remembered(&digest, current, query, &guard)
        {
            return Step::Answered(answer(Answer::new(verdict, CacheStatus::Hit, sequence)));
        }
        let (key_id, proof) = match self.prove(current, query, digest) {
            Ok(proven) => proven,
            Err(refusal) => return Step::Answered(answer(refused(refusal))),
        };
        if let Some(token) = &proof.token
            && !current.keyring.tokens().check_parent
        {
            if query.cache != CacheMode::Bypass {
                self.remember(&proof, None, &guard);
            }
            let verdict = token.judge(query);
            return Step::Answered(answer(Answer::new(verdict, status, NO_CHANGE)));
        }
        let key = RecordKey::new(query.tenant, key_id);
        match self.find(query, key, current, (&proof, status), &guard) {
            Ok(Found::InCell(cell)) => {
                match self.fresh_row(&cell, current, query.now, &guard) {
                    Some(row) => {
                        self.remember(&proof, Some(&cell), &guard);
                        let verdict = self.judge(&key, row, &proof, query, &guard);
                        Step::Answered(answer(Answer::new(
                            verdict,
                            CacheStatus::Hit,
                            row.sequence(),
                        )))
                    }
                    // Evicted between two looks: as good as a full queue, and as rare.
                    None => Step::Pending(Target {
                        key,
                        cell: None,
                        proof,
                        status,
                        rules: current.rules.clone(),
                    }),
                }
            }
            Ok(Found::Record(record, target)) => Step::Answered(self.settle(
                query,
                &target,
                Ok(record.map(|record| *record)),
                answer,
            )),
            Ok(Found::OnDisk(target)) => Step::Pending(target),
            Err(error) => {
                tracing::error!(%error, ?key, "a record could not be read");
                Step::Answered(answer(refused(Refusal::Internal)))
            }
        }
    }

    /// The part of a read that waits for the disk; runs on a disk thread.
    pub fn read(&self, target: &Target) -> Result<Option<Record>, StorageError> {
        self.rows.read(&target.key)
    }

    /// Answers with what was read for `target`, and keeps it if it is the newest that is known.
    pub fn settle<R>(
        &self,
        query: &Query<'_>,
        target: &Target,
        record: Result<Option<Record>, StorageError>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> R {
        let refused = |refusal| Answer::new(Verdict::Refused(refusal), target.status, None);
        if self.is_closed() {
            return answer(refused(Refusal::Internal));
        }
        let record = match record {
            Ok(Some(record)) => target.rules.apply(record),
            // A token whose key is gone was once good: it ends as with a revoked key.
            Ok(None) if target.proof.token.is_some() => return answer(refused(Refusal::Revoked)),
            Ok(None) => return answer(refused(Refusal::NotFound)),
            Err(error) => {
                tracing::error!(%error, key = ?target.key, "a record could not be read");
                return answer(refused(Refusal::Internal));
            }
        };
        let guard = pin();
        let row = || self.row(&target.key, &record, &target.rules, query.now, &guard);
        if let (Some(cache), Some(cell)) = (&self.cache, &target.cell) {
            cache.offer(cell, row(), &guard);
            // The cell may hold a newer row than the one just read. Then that one decides.
            if let State::Row(newest) = cell.load(&guard) {
                self.remember(&target.proof, Some(cell), &guard);
                let verdict = self.judge(&target.key, newest, &target.proof, query, &guard);
                return answer(Answer::new(verdict, target.status, newest.sequence()));
            }
        }
        let row = row();
        let verdict = self.judge(&target.key, &row, &target.proof, query, &guard);
        answer(Answer::new(verdict, target.status, row.sequence()))
    }

    /// The verdict on a credential that was proven before, from memory alone: no signature, no storage, no allocation; and the
    /// last change that it rests on.
    fn remembered<'g>(
        &'g self,
        digest: &[u8; 32],
        current: &Current,
        query: &Query<'_>,
        guard: &'g Guard,
    ) -> Option<(Verdict<'g>, Sequence)> {
        let found = self.cache.as_ref()?.proof(digest, guard)?;
        let proof = found.entry;
        let proven = &proof.proven;
        if proven.generation != current.generation || proven.not_after_ms <= query.now.0 {
            return None;
        }
        let verdict = match (&proof.cell, &proven.token) {
            (Some(cell), _) => {
                let row = self.fresh_row(cell, current, query.now, guard)?;
                KeyCache::note(&found, Some(row));
                let verdict = self.judge(cell.key(), row, proven, query, guard);
                (verdict, row.sequence())
            }
            (None, Some(token)) => {
                KeyCache::note(&found, None);
                (token.judge(query), NO_CHANGE)
            }
            (None, None) => return None,
        };
        proof.touch();
        Some(verdict)
    }

    /// What is to be said of a proven credential of `key`. A token is not limited, and is no use of the key itself.
    fn judge<'r>(
        &self,
        key: &RecordKey,
        row: &'r Row,
        proven: &'r Proven,
        query: &Query<'_>,
        guard: &Guard,
    ) -> Verdict<'r> {
        match &proven.token {
            None => self.usage.judge(key, row, query, guard),
            Some(token) => match row.ends_tokens(query.now) {
                Some(refusal) => Verdict::Refused(refusal),
                None => token.judge(query),
            },
        }
    }

    fn fresh_row<'g>(
        &self,
        cell: &KeyCell,
        current: &Current,
        now: UnixMillis,
        guard: &'g Guard,
    ) -> Option<&'g Row> {
        match cell.load(guard) {
            State::Row(row) => row
                .is_fresh(cell.key(), current, now, self.cache_ttl_s)
                .then_some(row),
            State::Vacant | State::Detached => None,
        }
    }

    fn remember(&self, proof: &Proven, cell: Option<&Arc<KeyCell>>, guard: &Guard) {
        let Some(cache) = &self.cache else { return };
        let same_cell = |known: &Option<Arc<KeyCell>>| match (known, cell) {
            (Some(known), Some(cell)) => Arc::ptr_eq(known, cell),
            (known, cell) => known.is_none() && cell.is_none(),
        };
        let known = cache
            .proof(&proof.digest, guard)
            .map(|found| found.entry)
            .is_some_and(|known| {
                known.proven.generation == proof.generation && same_cell(&known.cell)
            });
        if !known {
            cache.remember(proof.clone(), cell.cloned(), guard);
        }
    }

    /// Looks for the record of `key` in the cells, then in what RocksDB has in memory.
    fn find(
        &self,
        query: &Query<'_>,
        key: RecordKey,
        current: &Current,
        (proof, status): (&Proven, CacheStatus),
        guard: &Guard,
    ) -> Result<Found, StorageError> {
        let target = |cell| Target {
            key,
            cell,
            proof: proof.clone(),
            status,
            rules: current.rules.clone(),
        };
        let Some(cache) = self
            .cache
            .as_ref()
            .filter(|_| query.cache != CacheMode::Bypass)
        else {
            return Ok(Found::new(self.rows.in_memory(&key)?, target(None)));
        };
        let hash = self.shards.hash(&key);
        if let Some(cell) = cache.cell(&key, hash, guard) {
            cell.touch();
            let usable = query.cache == CacheMode::Use;
            if usable && self.fresh_row(&cell, current, query.now, guard).is_some() {
                return Ok(Found::InCell(cell));
            }
            return Ok(Found::new(self.rows.in_memory(&key)?, target(Some(cell))));
        }
        // Unknown keys leave no trace in the cells: a flood of them must not push out what is used.
        let first = self.rows.in_memory(&key)?;
        if first == InMemory::Absent {
            return Ok(Found::Record(None, target(None)));
        }
        // The cell must be linked before the read whose row it gets: what was read above may be outdated by now.
        let target = target(Some(cache.link(key, hash, guard)));
        match first {
            InMemory::Unknown => Ok(Found::OnDisk(target)),
            InMemory::Found(_) | InMemory::Absent => {
                Ok(Found::new(self.rows.in_memory(&key)?, target))
            }
        }
    }
}

enum Found {
    InCell(Arc<KeyCell>),
    Record(Option<Box<Record>>, Target),
    OnDisk(Target),
}

impl Found {
    fn new(in_memory: InMemory, target: Target) -> Self {
        match in_memory {
            InMemory::Found(record) => Self::Record(Some(record), target),
            InMemory::Absent => Self::Record(None, target),
            InMemory::Unknown => Self::OnDisk(target),
        }
    }
}
