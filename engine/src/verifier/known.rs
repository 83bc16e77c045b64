//! Which keys exist, as far as memory knows.

use talos_cells::pin;
use talos_model::RecordKey;

use super::Verifier;
use crate::cache::KeyCache;
use crate::row::Row;

impl Verifier {
    /// Whether the key is known to exist; false when it does not, or when nobody can tell without storage. A deletion that is
    /// durable but not yet published counts for nothing here: who acts on a true must be undone after the publication.
    pub fn knows(&self, key: &RecordKey) -> bool {
        let has = |cache: &KeyCache| {
            let exists = |row: &Row| !row.is_forgotten();
            cache.has(key, self.shards.hash(key), &pin(), exists)
        };
        !self.is_closed() && self.cache.as_deref().is_some_and(has)
    }
}
