//! The verifier: the path of a verification through the engine.

mod bulk_revoked;
mod closing;
mod found;
mod known;
mod lookup;
mod many;
mod preload;
mod proof_hit;
mod prove;
mod publish;
mod step;

#[cfg(test)]
pub use prove::SIGNATURE_CHECKS;
pub use step::{PendingRead, VerifyStep};

use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use found::Found;
use step::ReadRequest;
use talos_cells::{Guard, State, Swap, pin};
use talos_credentials::Tenant;
use talos_model::{
    Answer, BulkRevocations, CacheMode, CacheStatus, Query, Record, RecordKey, Refusal, Sequence,
    Verdict,
};

use crate::cache::KeyCache;
use crate::cached_key::Current;
use crate::render::{RenderBody, RenderTokenBody};
use crate::shards::Shards;
use crate::storage::{RecordReader, StorageError};
use crate::tenants::Tenants;
use crate::usage::Usage;

/// The sequence of an answer that depends on no record.
const NO_CHANGE: Sequence = Sequence(0);

/// What a verifier works with.
pub struct VerifierOptions {
    /// The storage that records are read from.
    pub reader: Arc<dyn RecordReader>,
    /// How keys are divided into shards.
    pub shards: Shards,
    /// The memory budget of cells and proofs in bytes; 0 = nothing is kept in memory.
    pub cache_bytes: usize,
    /// The tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// The bulk revocations in force.
    pub bulk_revocations: BulkRevocations,
    /// Renders the answer body of a valid key.
    pub render: RenderBody,
    /// Renders the answer body of a valid derived token.
    pub render_token: RenderTokenBody,
    /// Rate limits and last uses of keys.
    pub usage: Usage,
}

/// Answers queries, from memory if it can. Shared by all cores; takes no lock.
pub struct Verifier {
    reader: Arc<dyn RecordReader>,
    shards: Shards,
    cache: Option<Arc<KeyCache>>,
    current: Swap<Current>,
    render: RenderBody,
    render_token: RenderTokenBody,
    usage: Usage,
    /// Serializes changes of `current`. No verification takes it.
    changes: Mutex<()>,
    /// Set while a copy replaces the records; see `closing.rs`.
    is_closed: AtomicBool,
}

impl Verifier {
    /// A verifier with empty caches.
    pub fn new(options: VerifierOptions) -> Self {
        let cache = (options.cache_bytes > 0).then(|| Arc::new(KeyCache::new(options.cache_bytes)));
        let current = Swap::new(Current {
            bulk_revocations: options.bulk_revocations,
            tenants: Tenants::new(options.tenants),
        });
        Self {
            reader: options.reader,
            shards: options.shards,
            cache,
            current,
            render: options.render,
            render_token: options.render_token,
            usage: options.usage,
            changes: Mutex::new(()),
            is_closed: AtomicBool::new(false),
        }
    }

    /// The current tenants and bulk revocations.
    pub fn current<'g>(&self, guard: &'g Guard) -> &'g Current {
        self.current.load(guard)
    }

    /// Bytes of cells, cached keys and proofs.
    pub fn cache_used_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.used_bytes())
    }

    /// Never frees the memory of cells and proofs; the end of the process frees it at once.
    pub fn leak_cells(&self) {
        mem::forget(self.cache.clone());
    }

    /// Rate limits and last uses of keys.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// The storage that records are read from.
    pub fn reader(&self) -> &Arc<dyn RecordReader> {
        &self.reader
    }

    /// Answers from memory, or returns the read from disk that is needed.
    pub fn verify<R>(
        &self,
        query: &Query<'_>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> VerifyStep<R, ReadRequest> {
        self.verify_digested(query, None, answer)
    }

    /// [`Verifier::verify`] with the digest of the credential, if it is known already.
    fn verify_digested<R>(
        &self,
        query: &Query<'_>,
        digest: Option<[u8; 32]>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> VerifyStep<R, ReadRequest> {
        let status = match query.cache {
            CacheMode::Use => CacheStatus::Miss,
            CacheMode::Refresh | CacheMode::Bypass => CacheStatus::Skip,
            CacheMode::Observe => CacheStatus::Observed,
        };
        let refused = |refusal| Answer::new(Verdict::Refused(refusal), status, NO_CHANGE);
        if self.is_closed() {
            return VerifyStep::Answered(answer(refused(Refusal::Internal)));
        }
        if !query.has_length_of_credential() {
            return VerifyStep::Answered(answer(refused(Refusal::InvalidFormat)));
        }
        let guard = pin();
        let current = self.current.load(&guard);
        let Some(view) = current.view(query.tenant) else {
            return VerifyStep::Answered(answer(refused(Refusal::NotFound)));
        };
        let digest = digest.unwrap_or_else(|| view.tenant.proof_digest(query.credential));
        if query.cache == CacheMode::Use
            && let Some((verdict, sequence)) = self.verdict_from_proof(&digest, view, query, &guard)
        {
            return VerifyStep::Answered(answer(Answer::new(verdict, CacheStatus::Hit, sequence)));
        }
        let identified = match self.prove(view.tenant.keyring(), query) {
            Ok(identified) => identified,
            Err(refusal) => return VerifyStep::Answered(answer(refused(refusal))),
        };
        let (key_id, if_unknown) = (identified.key_id, identified.if_unknown);
        let proof = identified.proven(digest, view.tenant.generation());
        if let Some(token) = &proof.token
            && !view.tenant.keyring().tokens().check_parent
        {
            if query.cache.writes_cache() {
                self.add_proof(&proof, None, &guard);
            }
            let verdict = token.judge(query);
            return VerifyStep::Answered(answer(Answer::new(verdict, status, NO_CHANGE)));
        }
        let key = RecordKey::new(query.tenant, key_id);
        let request = |cell| ReadRequest {
            key,
            cell,
            proof: proof.clone(),
            if_unknown,
            status,
            bulk_revocations: view.bulk_revocations.clone(),
        };
        match self.find(query, key, view, request, &guard) {
            Ok(Found::InCell(cell)) => {
                match Self::fresh_key(&cell, view, query.now, &guard) {
                    Some(cached) => {
                        self.add_proof(&proof, Some(&cell), &guard);
                        let verdict = self.judge(&key, cached, view.tenant, &proof, query, &guard);
                        VerifyStep::Answered(answer(Answer::new(
                            verdict,
                            CacheStatus::Hit,
                            cached.sequence(),
                        )))
                    }
                    // The cell was evicted between two look-ups. This is rare; the record is read
                    // once more.
                    None => VerifyStep::Pending(request(None)),
                }
            }
            Ok(Found::Record(record, request)) => VerifyStep::Answered(self.settle(
                query,
                &request,
                Ok(record.map(|record| *record)),
                answer,
            )),
            Ok(Found::OnDisk(request)) => VerifyStep::Pending(request),
            Err(error) => {
                tracing::error!(%error, ?key, "a record could not be read");
                VerifyStep::Answered(answer(refused(Refusal::Internal)))
            }
        }
    }

    /// Reads the record of `request`. Blocks on disk; call it on a disk thread.
    pub fn read(&self, request: &ReadRequest) -> Result<Option<Record>, StorageError> {
        self.reader.read(&request.key)
    }

    /// Answers with the record that was read for `request`. Caches it if it is the newest known.
    pub fn settle<R>(
        &self,
        query: &Query<'_>,
        request: &ReadRequest,
        record: Result<Option<Record>, StorageError>,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> R {
        let refused = |refusal| Answer::new(Verdict::Refused(refusal), request.status, None);
        if self.is_closed() {
            return answer(refused(Refusal::Internal));
        }
        let record = match record {
            Ok(Some(record)) => request.bulk_revocations.apply(record),
            Ok(None) => return answer(refused(request.if_unknown)),
            Err(error) => {
                tracing::error!(%error, key = ?request.key, "a record could not be read");
                return answer(refused(Refusal::Internal));
            }
        };
        let guard = pin();
        let Some(view) = self.current.load(&guard).view(query.tenant) else {
            return answer(refused(Refusal::NotFound));
        };
        let cached = || {
            self.cached(
                &request.key,
                &record,
                &request.bulk_revocations,
                query.now,
                &guard,
            )
        };
        let judge = |cached| {
            self.judge(
                &request.key,
                cached,
                view.tenant,
                &request.proof,
                query,
                &guard,
            )
        };
        if let (Some(cache), Some(cell)) = (&self.cache, &request.cell) {
            cache.offer(cell, cached(), &guard);
            // If the cell holds a newer cached key than the one just read, the newer one decides.
            if let State::Value(newest) = cell.load(&guard) {
                self.add_proof(&request.proof, Some(cell), &guard);
                return answer(Answer::new(
                    judge(newest),
                    request.status,
                    newest.sequence(),
                ));
            }
        }
        if query.cache == CacheMode::Observe {
            return self.observed(query, request, &record, &guard, answer);
        }
        let cached = cached();
        answer(Answer::new(
            judge(&cached),
            request.status,
            cached.sequence(),
        ))
    }
}
