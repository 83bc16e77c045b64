//! The receiver's side of a full copy: everything is thrown away, then rows come, and with each chunk the place up to which they
//! are there, in one batch.
//!
//! Ranges are deleted rather than column families dropped: a batch can hold them together with the mark that a copy is under
//! way, so that there is no moment in which the database is neither the old one nor the beginning of the new one.

use std::collections::HashMap;

use rocksdb::{ColumnFamily, WriteBatch};
use talos_model::copy::{CHANGE_ROWS, REQUEST_ROWS, RULE_ROWS, SHARDS_END, USED_ROWS};
use talos_model::{
    CopyChunk, CopyEnd, CopyPlace, CopyRow, EpochHistory, Leadership, RecordKey, TenantId,
};

use super::families::{COUNTS, INDEX, LAST, LOG, META, REQUESTS, USED};
use super::options;
use super::store::RocksStore;
use crate::backup::BackupCounts;
use crate::storage::error::StorageError;
use crate::storage::format::bulk_revocation::{self, RULE, RULE_END};
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, encode_copying, encode_epochs};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::format::{change, record};
use crate::storage::index;
use crate::storage::rows::Rows;

/// Greater than every key of any family: those of tenants end with ids, those of positions have 16 bytes.
const END: [u8; 64] = [u8::MAX; 64];

/// How many keys that are not revoked were met, by tenant.
type Live = HashMap<TenantId, u64>;

impl RocksStore {
    /// The batch that makes this the node's epoch history.
    pub(super) fn epochs_batch(
        &self,
        epochs: &EpochHistory,
        leadership: Leadership,
    ) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        let epochs = encode_epochs(epochs, leadership)?;
        batch.put_cf(self.family(META)?, EPOCH_HISTORY, epochs);
        Ok(batch)
    }

    /// Makes this the epoch history of a database that has none, durably.
    pub(crate) fn found(&self, epochs: &EpochHistory) -> Result<(), StorageError> {
        let batch = self.epochs_batch(epochs, Leadership::Own)?;
        Ok(self.db.write_opt(batch, &options::synced_writes())?)
    }

    /// The batch that throws everything away and notes that a copy has begun.
    pub(super) fn clearing_batch(
        &self,
        epochs: &EpochHistory,
        place: &CopyPlace,
    ) -> Result<WriteBatch, StorageError> {
        let mut batch = self.epochs_batch(epochs, Leadership::Other)?;
        let fixed = [LOG, REQUESTS, INDEX, COUNTS, USED].map(|name| self.family(name));
        let shards = self.shards().all().map(|shard| self.shard(shard));
        for family in fixed.into_iter().chain(shards) {
            batch.delete_range_cf(family?, [].as_slice(), END.as_slice());
        }
        let meta = self.family(META)?;
        batch.delete_range_cf(meta, RULE, RULE_END);
        batch.put_cf(meta, COPYING, encode_copying(place)?);
        Ok(batch)
    }

    /// The batch of a chunk of the copy whose place it leads to is `place`.
    pub(super) fn chunk_batch(
        &self,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<WriteBatch, StorageError> {
        let (mut batch, mut live) = (WriteBatch::default(), Live::new());
        for row in &chunk.rows {
            self.add_row(&mut batch, &mut live, row)?;
        }
        let counts = self.family(COUNTS)?;
        for (tenant, added) in live {
            let live_keys = self.live_keys(tenant)? + added;
            batch.put_cf(counts, tenant.0.as_bytes(), live_keys.to_le_bytes());
        }
        let meta = self.family(META)?;
        match chunk.end {
            CopyEnd::More => batch.put_cf(meta, COPYING, encode_copying(place)?),
            CopyEnd::Last if !ends_at(chunk, place) => {
                return Err(StorageError::Corrupt("the end of a copy"));
            }
            CopyEnd::Last => {
                // No shard says which of them had the last change; it may have been a deletion.
                let last = place.position.sequence.0.to_le_bytes();
                for shard in self.shards().all() {
                    batch.put_cf(self.shard(shard)?, LAST, last);
                }
                batch.delete_cf(meta, COPYING);
            }
        }
        Ok(batch)
    }

    fn add_row(
        &self,
        batch: &mut WriteBatch,
        live: &mut Live,
        row: &CopyRow,
    ) -> Result<(), StorageError> {
        match row.family {
            ..SHARDS_END => self.add_record(batch, live, row),
            REQUEST_ROWS => {
                RecordKey::split(&row.value).ok_or(StorageError::Corrupt("a request's key"))?;
                put(batch, self.family(REQUESTS)?, row);
                Ok(())
            }
            USED_ROWS => {
                put(batch, self.family(USED)?, row);
                Ok(())
            }
            RULE_ROWS => {
                let rule = bulk_revocation::decode(&row.value)?;
                if row.key != bulk_revocation::key(&rule) {
                    return Err(StorageError::Corrupt("a rule's key"));
                }
                put(batch, self.family(META)?, row);
                Ok(())
            }
            CHANGE_ROWS => {
                change::decode(decode_position(&row.key)?, &row.value)?;
                put(batch, self.family(LOG)?, row);
                Ok(())
            }
            _ => Err(StorageError::Corrupt("a row of an unknown family")),
        }
    }

    fn add_record(
        &self,
        batch: &mut WriteBatch,
        live: &mut Live,
        row: &CopyRow,
    ) -> Result<(), StorageError> {
        let record = record::decode(&row.key, &row.value)?;
        let key = RecordKey::new(record.tenant, record.key_id);
        put(batch, self.shard(self.shard_of(&key))?, row);
        let entries = self.family(INDEX)?;
        for entry in index::entries(&record) {
            batch.put_cf(entries, entry, []);
        }
        if record.revocation.is_none() {
            *live.entry(record.tenant).or_default() += 1;
        }
        Ok(())
    }
}

/// Counts a row of a copy that lies in a file, if it can be read.
pub fn count_row(row: &CopyRow, counts: &mut BackupCounts) -> Result<(), StorageError> {
    match row.family {
        ..SHARDS_END => {
            record::decode(&row.key, &row.value)?;
            counts.keys += 1;
        }
        REQUEST_ROWS => {
            RecordKey::split(&row.value).ok_or(StorageError::Corrupt("a request's key"))?;
            counts.requests += 1;
        }
        USED_ROWS => counts.uses += 1,
        RULE_ROWS => {
            bulk_revocation::decode(&row.value)?;
        }
        CHANGE_ROWS => {
            change::decode(decode_position(&row.key)?, &row.value)?;
        }
        _ => return Err(StorageError::Corrupt("a row of an unknown family")),
    }
    counts.rows += 1;
    Ok(())
}

/// Whether a chunk that ends a copy holds the change that the copy is consistent with.
fn ends_at(chunk: &CopyChunk, place: &CopyPlace) -> bool {
    let position = encode_position(place.position);
    let mut rows = chunk.rows.iter();
    place.position.sequence.0 == 0
        || rows.any(|row| row.family == CHANGE_ROWS && row.key == position)
}

fn put(batch: &mut WriteBatch, family: &ColumnFamily, row: &CopyRow) {
    batch.put_cf(family, &row.key, &row.value);
}
