//! Batch verification: while one credential is judged, memory is prefetched for the next ones.
//!
//! Among millions of keys a hit waits for memory three times in a row and computes little. Each
//! wait depends on one credential alone, so the waits of several credentials can overlap.

use talos_model::{Answer, CacheMode, Query};

use super::{ReadRequest, Verifier};
use crate::cache::KeyCache;
use crate::limits::PROOFS_FETCHED_AHEAD;
use crate::tenants::Tenants;
use crate::verifier::VerifyStep;

/// How many credentials ahead the digest is computed and the proof's bucket is prefetched.
const BUCKETS_AHEAD: usize = 8;
/// How many credentials ahead the proof and what it leads to are prefetched. Smaller, because the
/// bucket must have arrived.
const PROOFS_AHEAD: usize = 4;

const _: () = assert!(PROOFS_AHEAD < BUCKETS_AHEAD);

impl Verifier {
    /// Verifies `queries` in order. Calls `each` once for each query, with its place.
    pub fn verify_many(
        &self,
        queries: &[Query<'_>],
        mut each: impl FnMut(usize, VerifyStep<Answer<'_>, ReadRequest>),
    ) {
        let cache = self.cache.as_deref();
        let mut prefetcher = cache
            .filter(|cache| cache.proofs() >= PROOFS_FETCHED_AHEAD)
            .map(|cache| Prefetcher::new(cache, queries, self.tenants()));
        for (place, query) in queries.iter().enumerate() {
            let digest = prefetcher
                .as_mut()
                .and_then(|prefetcher| prefetcher.digest(place));
            let answered = |answer: Answer<'_>| each(place, VerifyStep::Answered(answer));
            if let VerifyStep::Pending(request) = self.verify_digested(query, digest, answered) {
                each(place, VerifyStep::Pending(request));
            }
        }
    }
}

/// Prefetches memory for the queries after the one that is judged.
struct Prefetcher<'a> {
    cache: &'a KeyCache,
    queries: &'a [Query<'a>],
    tenants: Tenants,
    digests: Vec<Option<[u8; 32]>>,
}

impl<'a> Prefetcher<'a> {
    fn new(cache: &'a KeyCache, queries: &'a [Query<'a>], tenants: Tenants) -> Self {
        Self {
            cache,
            queries,
            tenants,
            digests: Vec::with_capacity(queries.len()),
        }
    }

    /// The digest for the look-up of the proof of the query at `place`; `None` if the query does
    /// not use proofs. Starts the prefetches for the queries after it.
    fn digest(&mut self, place: usize) -> Option<[u8; 32]> {
        while self.digests.len() <= place + BUCKETS_AHEAD
            && let Some(query) = self.queries.get(self.digests.len())
        {
            let uses_proofs = query.cache == CacheMode::Use && query.has_length_of_credential();
            let tenant = self.tenants.get(query.tenant).filter(|_| uses_proofs);
            let digest = tenant.map(|tenant| tenant.proof_digest(query.credential));
            if let Some(digest) = &digest {
                self.cache.prefetch_bucket(digest);
            }
            self.digests.push(digest);
        }
        if let Some(Some(digest)) = self.digests.get(place + PROOFS_AHEAD) {
            self.cache.prefetch_proof(digest);
        }
        self.digests.get(place).copied().flatten()
    }
}
