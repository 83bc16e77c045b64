//! Verification of a credential that was proven before, and the proofs that make it possible.

use std::sync::Arc;

use talos_cells::Guard;
use talos_model::{Query, RecordKey, Sequence, Verdict};

use super::{NO_CHANGE, Verifier};
use crate::cache::{KeyCache, KeyCell, Proven};
use crate::cached_key::{CachedKey, View};
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
            Some(token) => match cached.ends_tokens(query.now) {
                Some(refusal) => Verdict::Refused(refusal),
                None => token.judge(query),
            },
        }
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
