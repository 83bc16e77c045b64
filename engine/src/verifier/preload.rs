//! Preloading of records into the cells before the first verification needs them.

use std::collections::HashMap;

use talos_cells::pin;
use talos_model::clock::UnixMillis;
use talos_model::{RecordKey, ShardId};

use super::Verifier;
use crate::storage::StorageError;

impl Verifier {
    /// Reads the records of `keys`, all of one shard, into new cells. Keys that have a cell already
    /// are skipped. Blocks on disk. Returns how many records were loaded.
    pub fn preload(
        &self,
        shard: ShardId,
        keys: &[RecordKey],
        now: UnixMillis,
    ) -> Result<usize, StorageError> {
        let Some(cache) = &self.cache else {
            return Ok(0);
        };
        let linked: Vec<_> = {
            let guard = pin();
            let link = |key: &RecordKey| {
                let hash = self.shards.hash(key);
                let is_known = cache.cell(key, hash, &guard).is_some();
                (!is_known).then(|| (*key, cache.link(*key, hash, &guard)))
            };
            keys.iter().filter_map(link).collect()
        };
        let keys: Vec<_> = linked.iter().map(|(key, _)| *key).collect();
        if keys.is_empty() {
            return Ok(0);
        }
        let cells: HashMap<_, _> = linked.into_iter().collect();
        let bulk_revocations = self.bulk_revocations();
        let mut preloaded = 0;
        for record in self.reader.read_all(shard, &keys)? {
            let guard = pin();
            let key = RecordKey::new(record.tenant, record.key_id);
            let record = bulk_revocations.apply(record);
            if let Some(cell) = cells.get(&key) {
                let cached = self.cached(&key, &record, &bulk_revocations, now, &guard);
                cache.offer(cell, cached, &guard);
                preloaded += 1;
            }
        }
        Ok(preloaded)
    }
}
