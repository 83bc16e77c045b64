//! The path of a verification through the engine.

use std::sync::Arc;

use talos_cells::{Guard, State, Swap, pin};

use crate::cache::{KeyCache, KeyCell};
use crate::clock::UnixMillis;
use crate::credential::issued::IssuedKey;
use crate::credential::{imported_key_id, proof_digest};
use crate::engine::RenderBody;
use crate::ids::KeyId;
use crate::keyring::Keyring;
use crate::limits::CREDENTIAL_BYTES;
use crate::record::Record;
use crate::row::{Current, Row};
use crate::shards::Shards;
use crate::storage::{Change, InMemory, RecordKey, Rows, StorageError};
use crate::verify::{Answer, CacheMode, CacheStatus, Query, Refusal, Step, Verdict};

/// Answers queries, from memory where it can. Shared by all cores; takes no lock.
pub struct Verifier {
    rows: Arc<dyn Rows>,
    shards: Shards,
    cache: Option<KeyCache>,
    cache_ttl_s: i64,
    current: Swap<Current>,
    render: RenderBody,
}

/// What is known of a credential before its record is read.
#[derive(Debug)]
pub struct Target {
    key: RecordKey,
    /// Linked before the read; `None` when the answer is not to be kept.
    cell: Option<Arc<KeyCell>>,
    proof: Proven,
    status: CacheStatus,
}

/// That a credential names a key, and under which keyring that was found.
#[derive(Clone, Copy, Debug)]
struct Proven {
    digest: [u8; 32],
    generation: u64,
    not_after_ms: i64,
}

impl Verifier {
    /// A verifier over `rows`; `cache_bytes` = 0 keeps nothing in memory.
    pub fn new(
        rows: Arc<dyn Rows>,
        shards: Shards,
        cache_bytes: usize,
        cache_ttl_s: u32,
        keyring: Keyring,
        render: RenderBody,
    ) -> Self {
        let cache = (cache_bytes > 0).then(|| KeyCache::new(cache_bytes));
        let current = Swap::new(Current {
            generation: 0,
            keyring,
        });
        Self {
            rows,
            shards,
            cache,
            cache_ttl_s: cache_ttl_s.into(),
            current,
            render,
        }
    }

    /// The keyring of this moment.
    pub fn current<'g>(&self, guard: &'g Guard) -> &'g Current {
        self.current.load(guard)
    }

    /// Swaps the keyring and voids every proof. Calls must not overlap.
    pub fn set_keyring(&self, keyring: Keyring) {
        let guard = pin();
        let generation = self.current.load(&guard).generation + 1;
        self.current.store(
            Current {
                generation,
                keyring,
            },
            &guard,
        );
    }

    /// Bytes of cells, rows and proofs.
    pub fn cache_used_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, KeyCache::used_bytes)
    }

    /// Where records are read.
    pub fn rows(&self) -> &Arc<dyn Rows> {
        &self.rows
    }

    /// Brings a durable change to the cells. When this returns, nobody is answered from the state before it.
    pub fn publish(&self, change: &Change, now: UnixMillis) {
        let Some(cache) = &self.cache else { return };
        let record = &change.record;
        let key = RecordKey::new(record.tenant, record.key_id);
        let guard = pin();
        let current = self.current.load(&guard);
        let row = || {
            if change.deletes() {
                Row::forgotten(record, current, now)
            } else {
                Row::new(record, current, self.render, now)
            }
        };
        cache.publish(&key, self.shards.hash(&key), &guard, row);
    }

    /// The key that a credential proves possession of; says nothing about the key's record.
    pub fn identify(&self, query: &Query<'_>) -> Result<KeyId, Refusal> {
        if query.credential.is_empty() || query.credential.len() > CREDENTIAL_BYTES {
            return Err(Refusal::InvalidFormat);
        }
        let guard = pin();
        let proven = prove(&self.current.load(&guard).keyring, query);
        proven.map(|(key_id, _)| key_id).ok_or(Refusal::NotFound)
    }

    /// Answers from memory or says what has to be read from disk.
    pub fn verify<R>(
        &self,
        query: &Query<'_>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> Step<R, Target> {
        let status = match query.cache {
            CacheMode::Use => CacheStatus::Miss,
            CacheMode::Refresh | CacheMode::Bypass => CacheStatus::Skip,
        };
        let refused = |refusal| Answer {
            verdict: Verdict::Refused(refusal),
            cache: status,
        };
        if query.credential.is_empty() || query.credential.len() > CREDENTIAL_BYTES {
            return Step::Answered(answer(refused(Refusal::InvalidFormat)));
        }
        let guard = pin();
        let current = self.current.load(&guard);
        let digest = proof_digest(query.tenant, query.credential);
        if query.cache == CacheMode::Use
            && let Some(row) = self.proven_row(&digest, current.generation, query.now, &guard)
        {
            return Step::Answered(answer(Answer {
                verdict: row.judge(query),
                cache: CacheStatus::Hit,
            }));
        }
        let Some((key_id, not_after_ms)) = prove(&current.keyring, query) else {
            return Step::Answered(answer(refused(Refusal::NotFound)));
        };
        let key = RecordKey::new(query.tenant, key_id);
        let proof = Proven {
            digest,
            generation: current.generation,
            not_after_ms,
        };
        match self.find(query, key, proof, status, &guard) {
            Ok(Found::InCell(cell)) => {
                match self.fresh_row(&cell, current.generation, query.now, &guard) {
                    Some(row) => {
                        self.remember(proof, cell.clone(), &guard);
                        Step::Answered(answer(Answer {
                            verdict: row.judge(query),
                            cache: CacheStatus::Hit,
                        }))
                    }
                    // Evicted between two looks: as good as a full queue, and as rare.
                    None => Step::Pending(Target {
                        key,
                        cell: None,
                        proof,
                        status,
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
        let refused = |refusal| Answer {
            verdict: Verdict::Refused(refusal),
            cache: target.status,
        };
        let record = match record {
            Ok(Some(record)) => record,
            Ok(None) => return answer(refused(Refusal::NotFound)),
            Err(error) => {
                tracing::error!(%error, key = ?target.key, "a record could not be read");
                return answer(refused(Refusal::Internal));
            }
        };
        let guard = pin();
        let row = || Row::new(&record, self.current.load(&guard), self.render, query.now);
        if let (Some(cache), Some(cell)) = (&self.cache, &target.cell) {
            cache.offer(cell, row(), &guard);
            // The cell may hold a newer row than the one just read. Then that one decides.
            if let State::Row(newest) = cell.load(&guard) {
                self.remember(target.proof, Arc::clone(cell), &guard);
                return answer(Answer {
                    verdict: newest.judge(query),
                    cache: target.status,
                });
            }
        }
        answer(Answer {
            verdict: row().judge(query),
            cache: target.status,
        })
    }

    fn proven_row<'g>(
        &self,
        digest: &[u8; 32],
        generation: u64,
        now: UnixMillis,
        guard: &'g Guard,
    ) -> Option<&'g Row> {
        let proof = self.cache.as_ref()?.proof(digest, guard)?;
        if proof.generation != generation || proof.not_after_ms <= now.0 {
            return None;
        }
        let row = self.fresh_row(&proof.cell, generation, now, guard)?;
        proof.touch();
        Some(row)
    }

    fn fresh_row<'g>(
        &self,
        cell: &KeyCell,
        generation: u64,
        now: UnixMillis,
        guard: &'g Guard,
    ) -> Option<&'g Row> {
        match cell.load(guard) {
            State::Row(row) => row
                .is_fresh(generation, now, self.cache_ttl_s)
                .then_some(row),
            State::Vacant | State::Detached => None,
        }
    }

    fn remember(&self, proof: Proven, cell: Arc<KeyCell>, guard: &Guard) {
        let Some(cache) = &self.cache else { return };
        let known = cache.proof(&proof.digest, guard);
        let known = known.is_some_and(|known| {
            known.generation == proof.generation && Arc::ptr_eq(&known.cell, &cell)
        });
        if !known {
            cache.remember(
                proof.digest,
                proof.generation,
                proof.not_after_ms,
                cell,
                guard,
            );
        }
    }

    /// Looks for the record of `key` in the cells, then in what RocksDB has in memory.
    fn find(
        &self,
        query: &Query<'_>,
        key: RecordKey,
        proof: Proven,
        status: CacheStatus,
        guard: &Guard,
    ) -> Result<Found, StorageError> {
        let Some(cache) = self
            .cache
            .as_ref()
            .filter(|_| query.cache != CacheMode::Bypass)
        else {
            let target = Target {
                key,
                cell: None,
                proof,
                status,
            };
            return Ok(Found::new(self.rows.in_memory(&key)?, target));
        };
        let hash = self.shards.hash(&key);
        if let Some(cell) = cache.cell(&key, hash, guard) {
            cell.touch();
            let usable = query.cache == CacheMode::Use;
            if usable
                && self
                    .fresh_row(&cell, proof.generation, query.now, guard)
                    .is_some()
            {
                return Ok(Found::InCell(cell));
            }
            let target = Target {
                key,
                cell: Some(cell),
                proof,
                status,
            };
            return Ok(Found::new(self.rows.in_memory(&key)?, target));
        }
        // Unknown keys leave no trace in the cells: a flood of them must not push out what is used.
        if self.rows.in_memory(&key)? == InMemory::Absent {
            return Ok(Found::Record(
                None,
                Target {
                    key,
                    cell: None,
                    proof,
                    status,
                },
            ));
        }
        // The cell must be linked before the read whose row it gets: what was read above may be outdated by now.
        let target = Target {
            key,
            cell: Some(cache.link(key, hash, guard)),
            proof,
            status,
        };
        Ok(Found::new(self.rows.in_memory(&key)?, target))
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

/// The key that a credential names, and until when it may; `None` for a credential that cannot be ours.
fn prove(keyring: &Keyring, query: &Query<'_>) -> Option<(KeyId, i64)> {
    let Some(issued) = IssuedKey::parse(query.credential) else {
        return Some((imported_key_id(query.tenant, query.credential), i64::MAX));
    };
    let not_after = keyring.prove(&issued)?;
    (query.now < not_after).then_some((KeyId::Issued(issued.uuid), not_after.0))
}
