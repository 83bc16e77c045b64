//! Everything that follows from a group of changes, in one batch: log, records, index, request ids, counts.

use std::collections::HashMap;

use rocksdb::WriteBatch;

use super::change_format::{self, Change};
use super::rocks::{COUNTS, INDEX, LAST, LOG, REQUESTS, RocksStore, USED, request_key};
use super::{Group, RecordKey, StorageError, index, record_format};
use crate::fleet::LoggedChange;

impl RocksStore {
    /// The batch of a group; all of it is written or nothing.
    pub(super) fn batch(&self, group: &Group<'_>) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        let mut received = group.received.unwrap_or_default().iter();
        for change in group.changes {
            self.add_change(&mut batch, change, received.next())?;
        }
        // Once a shard, however many changes of it there are: with the largest groups that is a seventh of what is written.
        let mut last = HashMap::new();
        for change in group.changes {
            let key = RecordKey::new(change.record.tenant, change.record.key_id);
            last.insert(self.shard_of(&key), change.position.sequence);
        }
        for (shard, sequence) in last {
            batch.put_cf(self.shard(shard)?, LAST, sequence.0.to_le_bytes());
        }
        let counts = self.family(COUNTS)?;
        for (tenant, live_keys) in group.live_keys {
            batch.put_cf(counts, tenant.0.as_bytes(), live_keys.to_le_bytes());
        }
        Ok(batch)
    }

    fn add_change(
        &self,
        batch: &mut WriteBatch,
        change: &Change,
        received: Option<&LoggedChange>,
    ) -> Result<(), StorageError> {
        let (log, requests) = (self.family(LOG)?, self.family(REQUESTS)?);
        let key = RecordKey::new(change.record.tenant, change.record.key_id);
        let shard = self.shard(self.shard_of(&key))?;
        let record = record_format::encode(&change.record)?;
        let position = change_format::encode_position(change.position);
        match received {
            Some(received) => batch.put_cf(log, position, &received.bytes),
            None => batch.put_cf(log, position, change_format::encode(change, &record)?),
        }
        if let Some(request_id) = &change.request_id {
            let request = request_key(change.record.tenant, key.kind(), request_id);
            batch.put_cf(requests, request, key.as_bytes());
        }
        if change.deletes() {
            batch.delete_cf(shard, key.as_bytes());
            batch.delete_cf(self.family(USED)?, key.as_bytes());
        } else {
            batch.put_cf(shard, key.as_bytes(), record);
        }
        self.add_index(batch, change)
    }

    fn add_index(&self, batch: &mut WriteBatch, change: &Change) -> Result<(), StorageError> {
        let family = self.family(INDEX)?;
        if change.deletes() {
            for entry in index::entries(&change.record) {
                batch.delete_cf(family, entry);
            }
        } else {
            for entry in index::entries(&change.record) {
                batch.put_cf(family, entry, []);
            }
            if change.record.revocation.is_some() {
                for entry in index::entries_before_revocation(&change.record) {
                    batch.delete_cf(family, entry);
                }
            }
        }
        Ok(())
    }
}
