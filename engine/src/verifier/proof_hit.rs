//! Verification of a credential that was proven before, and the proofs that make it possible.

use std::sync::Arc;

use talos_cells::Guard;
use talos_model::{Answer, Query, Record, RecordKey, Sequence, Verdict};

use super::{NO_CHANGE, ReadRequest, Verifier};
use crate::cache::{KeyCache, KeyCell, Proven};
use crate::cached_key::{CachedKey, View};
use crate::cached_token::CachedToken;
use crate::tenants::ActiveTenant;

impl Verifier {
    /// The verdict on a credential with a proof, from memory alone (no signature, no storage, no
    /// allocation), and the last change that the verdict depends on. `None` if there is no valid
    /// proof or no fresh cached key.
    pub(super) fn verdict_from_proof<'g>(
        &'g self,
        digest: &[u8; 32],
        view: View<'_>,
        query: &Query<'_>,
        guard: &'g Guard,
    ) -> Option<(Verdict<'g>, Sequence)> {
        let found = self.cache.as_ref()?.proof(digest, guard)?;
        let proof = found.entry;
        let proven = &proof.proven;
        if proven.generation != view.tenant.generation() || proven.not_after_ms <= query.now.0 {
            return None;
        }
        let verdict = match (&proof.cell, &proven.token) {
            (Some(cell), _) => {
                let cached = Self::fresh_key(cell, view, query.now, guard)?;
                KeyCache::note_prefetch(&found, Some(cached));
                let verdict = self.judge(cell.key(), cached, view.tenant, proven, query, guard);
                (verdict, cached.sequence())
            }
            (None, Some(token)) => {
                KeyCache::note_prefetch(&found, None);
                (token.judge(query), NO_CHANGE)
            }
            (None, None) => return None,
        };
        proof.touch();
        Some(verdict)
    }

    /// The verdict on a proven credential of `key`. A token is not rate limited, and does not count
    /// as a use of the key.
    pub(super) fn judge<'r>(
        &self,
        key: &RecordKey,
        cached: &'r CachedKey,
        tenant: &ActiveTenant,
        proven: &'r Proven,
        query: &Query<'_>,
        guard: &Guard,
    ) -> Verdict<'r> {
        match &proven.token {
            None => self.usage.judge(key, cached, tenant, query, guard),
            Some(token) => judge_token(token, cached, query),
        }
    }

    /// The answer to a query that is no use of the key, with the record that was read for it.
    #[cold]
    pub(super) fn observed<R>(
        &self,
        query: &Query<'_>,
        request: &ReadRequest,
        record: &Record,
        guard: &Guard,
        answer: impl FnOnce(Answer<'_>) -> R,
    ) -> R {
        let bulk_revocations = &request.bulk_revocations;
        let tenant = self.current(guard).tenants.get(query.tenant);
        let cached = CachedKey::new(record, bulk_revocations, tenant, self.render, query.now);
        let verdict = match &request.proof.token {
            None => cached.judge(query),
            Some(token) => judge_token(token, &cached, query),
        };
        answer(Answer::new(verdict, request.status, cached.sequence()))
    }

    pub(super) fn add_proof(&self, proof: &Proven, cell: Option<&Arc<KeyCell>>, guard: &Guard) {
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
            cache.insert_proof(proof.clone(), cell.cloned(), guard);
        }
    }
}

/// The verdict on a token of the key: the key decides first.
fn judge_token<'r>(token: &'r CachedToken, cached: &CachedKey, query: &Query<'_>) -> Verdict<'r> {
    match cached.ends_tokens(query.now) {
        Some(refusal) => Verdict::Refused(refusal),
        None => token.judge(query),
    }
}
