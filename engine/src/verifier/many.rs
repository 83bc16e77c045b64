//! Many verifications in a row: memory fetches what the next ones need while one is judged.
//!
//! Among millions of keys a hit waits for memory, three times one after the other, and hardly computes. What it waits for depends
//! on its credential alone, so of credentials that are there together the waits can overlap.

use talos_credentials::proof_digest;
use talos_model::{Answer, CacheMode, Query};

use super::{Target, Verifier};
use crate::cache::KeyCache;
use crate::limits::PROOFS_FETCHED_AHEAD;
use crate::verifier::Step;

/// So far ahead a credential's digest is computed, and its place among the proofs fetched.
const PLACES_AHEAD: usize = 8;
/// So far ahead its proof is fetched with all that this leads to: a wait for memory later.
const PROOFS_AHEAD: usize = 4;

const _: () = assert!(PROOFS_AHEAD < PLACES_AHEAD);

impl Verifier {
    /// Verifies `queries` in order; `each` is called once for each, with its place.
    pub fn verify_many(
        &self,
        queries: &[Query<'_>],
        mut each: impl FnMut(usize, Step<Answer<'_>, Target>),
    ) {
        let cache = self.cache.as_deref();
        let mut ahead = cache
            .filter(|cache| cache.proofs() >= PROOFS_FETCHED_AHEAD)
            .map(|cache| Ahead::new(cache, queries));
        for (place, query) in queries.iter().enumerate() {
            let digest = ahead.as_mut().and_then(|ahead| ahead.digest(place));
            let answered = |answer: Answer<'_>| each(place, Step::Answered(answer));
            if let Step::Pending(target) = self.verify_digested(query, digest, answered) {
                each(place, Step::Pending(target));
            }
        }
    }
}

/// Walks ahead of the one who judges.
struct Ahead<'a> {
    cache: &'a KeyCache,
    queries: &'a [Query<'a>],
    digests: Vec<Option<[u8; 32]>>,
}

impl<'a> Ahead<'a> {
    fn new(cache: &'a KeyCache, queries: &'a [Query<'a>]) -> Self {
        Self {
            cache,
            queries,
            digests: Vec::with_capacity(queries.len()),
        }
    }

    /// The digest by which the proof of the query at `place` is looked for, if one is. What the next ones need is on its way then.
    fn digest(&mut self, place: usize) -> Option<[u8; 32]> {
        while self.digests.len() <= place + PLACES_AHEAD
            && let Some(query) = self.queries.get(self.digests.len())
        {
            let is_asked = query.cache == CacheMode::Use && query.has_length_of_credential();
            let digest = is_asked.then(|| proof_digest(query.tenant, query.credential));
            if let Some(digest) = &digest {
                self.cache.fetch_place(digest);
            }
            self.digests.push(digest);
        }
        if let Some(Some(digest)) = self.digests.get(place + PROOFS_AHEAD) {
            self.cache.fetch_proof(digest);
        }
        self.digests.get(place).copied().flatten()
    }
}
