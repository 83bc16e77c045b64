//! Everything that follows from a group of changes, in one batch: log, records, index, request ids, counts.

use rocksdb::WriteBatch;

use super::change_format::{self, Change};
use super::rocks::{COUNTS, INDEX, LAST, LOG, REQUESTS, RocksStore, USED, request_key};
use super::{Group, RecordKey, StorageError, index, record_format};

impl RocksStore {
    /// The batch of a group; all of it is written or nothing.
    pub(super) fn batch(&self, group: &Group<'_>) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        for change in group.changes {
            self.add_change(&mut batch, change)?;
        }
        let counts = self.family(COUNTS)?;
        for (tenant, live_keys) in group.live_keys {
            batch.put_cf(counts, tenant.0.as_bytes(), live_keys.to_le_bytes());
        }
        Ok(batch)
    }

    fn add_change(&self, batch: &mut WriteBatch, change: &Change) -> Result<(), StorageError> {
        let (log, requests) = (self.family(LOG)?, self.family(REQUESTS)?);
        let key = RecordKey::new(change.record.tenant, change.record.key_id);
        let shard = self.shard(self.shard_of(&key))?;
        let record = record_format::encode(&change.record)?;
        batch.put_cf(
            log,
            change_format::encode_position(change.position),
            change_format::encode(change, &record)?,
        );
        batch.put_cf(shard, LAST, change.position.sequence.0.to_le_bytes());
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
