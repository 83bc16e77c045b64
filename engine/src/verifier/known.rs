//! Which keys exist according to memory.

use talos_cells::pin;
use talos_model::RecordKey;

use super::Verifier;
use crate::cache::KeyCache;
use crate::cached_key::CachedKey;

impl Verifier {
    /// Whether memory knows that the key exists. False if it does not exist, and also if only
    /// storage can tell. A deletion that is durable but not yet published is not seen: a caller
    /// that acts on `true` must undo its action after the publication.
    pub fn knows(&self, key: &RecordKey) -> bool {
        let has = |cache: &KeyCache| {
            let exists = |cached: &CachedKey| !cached.is_forgotten();
            cache.has(key, self.shards.hash(key), &pin(), exists)
        };
        !self.is_closed() && self.cache.as_deref().is_some_and(has)
    }
}
