//! Records that are brought into the cells before anybody asks for them.

use std::collections::HashMap;

use talos_cells::pin;
use talos_model::clock::UnixMillis;
use talos_model::{RecordKey, ShardId};

use super::Verifier;
use crate::storage::StorageError;

impl Verifier {
    /// Brings the records of `keys`, all of one shard, into cells of their own; those that have one already are left alone.
    /// May wait for the disk. Returns how many were brought.
    pub fn bring(
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
        let rules = self.rules();
        let mut brought = 0;
        for record in self.rows.read_all(shard, &keys)? {
            let guard = pin();
            let key = RecordKey::new(record.tenant, record.key_id);
            let record = rules.apply(record);
            if let Some(cell) = cells.get(&key) {
                let row = self.row(&key, &record, &rules, now, &guard);
                cache.offer(cell, row, &guard);
                brought += 1;
            }
        }
        Ok(brought)
    }
}
