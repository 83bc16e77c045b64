//! The receiving side of a full copy: everything is deleted, then rows are added. Each chunk of
//! rows and the progress of the copy are written in one batch.
//!
//! Ranges are deleted instead of column families dropped, because one batch can then delete
//! everything and write `COPYING`. At every moment the database is either the old one or the
//! beginning of the copy.

use std::collections::HashMap;

use rocksdb::{ColumnFamily, WriteBatch};
use talos_model::copy::{
    ADMIN_TOKEN_ROWS, BULK_REVOCATION_ROWS, CHANGE_ROWS, REQUEST_ROWS, SECRET_USE_ROWS, SHARDS_END,
    USED_ROWS,
};
use talos_model::{
    CopyChunk, CopyCounts, CopyEnd, CopyPlace, CopyRow, NodeState, RecordKey, TenantId,
};

use super::families::{COUNTS, INDEX, LAST, LOG, META, REQUESTS, USED};
use super::options;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::admin_token::{self, ADMIN_TOKEN, ADMIN_TOKEN_END};
use crate::storage::format::bulk_revocation::{self, BULK_REVOCATION, BULK_REVOCATION_END};
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, encode_copying, encode_epochs};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::format::secret_uses::{self, SECRET_USE, SECRET_USE_END};
use crate::storage::format::{change, record, request};
use crate::storage::index;
use crate::storage::record_reader::RecordReader;

/// Greater than every key of any family: keys with a tenant end with ids, and positions have 16
/// bytes.
const END: [u8; 64] = [u8::MAX; 64];

/// How many keys were added that are not revoked, by tenant.
type LiveKeys = HashMap<TenantId, u64>;

impl RocksStore {
    /// The batch that replaces the node's epoch history.
    pub(super) fn epochs_batch(&self, state: &NodeState) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        let epochs = encode_epochs(state)?;
        batch.put_cf(self.family(META)?, EPOCH_HISTORY, epochs);
        Ok(batch)
    }

    /// Writes the node's state into a database that has none, durably.
    pub(crate) fn write_first_state(&self, state: &NodeState) -> Result<(), StorageError> {
        let batch = self.epochs_batch(state)?;
        Ok(self.db.write_opt(batch, &options::synced_writes())?)
    }

    /// The batch that deletes everything and begins a copy.
    pub(super) fn clearing_batch(
        &self,
        state: &NodeState,
        place: &CopyPlace,
    ) -> Result<WriteBatch, StorageError> {
        let mut batch = self.epochs_batch(state)?;
        let fixed = [LOG, REQUESTS, INDEX, COUNTS, USED].map(|name| self.family(name));
        let shards = self.shards().all().map(|shard| self.shard(shard));
        for family in fixed.into_iter().chain(shards) {
            batch.delete_range_cf(family?, [].as_slice(), END.as_slice());
        }
        let meta = self.family(META)?;
        batch.delete_range_cf(meta, BULK_REVOCATION, BULK_REVOCATION_END);
        batch.delete_range_cf(meta, ADMIN_TOKEN, ADMIN_TOKEN_END);
        batch.delete_range_cf(meta, SECRET_USE, SECRET_USE_END);
        batch.put_cf(meta, COPYING, encode_copying(place)?);
        Ok(batch)
    }

    /// The batch of a chunk. `place` is the progress of the copy after it.
    pub(super) fn chunk_batch(
        &self,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<WriteBatch, StorageError> {
        let (mut batch, mut live) = (WriteBatch::default(), LiveKeys::new());
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
                // Which shard had the last change is unknown: it may have been a deletion.
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
        live: &mut LiveKeys,
        row: &CopyRow,
    ) -> Result<(), StorageError> {
        match row.family {
            ..SHARDS_END => self.add_record(batch, live, row),
            REQUEST_ROWS => {
                request::decode(&row.value)?;
                put(batch, self.family(REQUESTS)?, row);
                Ok(())
            }
            USED_ROWS => {
                put(batch, self.family(USED)?, row);
                Ok(())
            }
            BULK_REVOCATION_ROWS => {
                let bulk_revocation = bulk_revocation::decode(&row.value)?;
                if row.key != bulk_revocation::key(&bulk_revocation) {
                    return Err(StorageError::Corrupt("a bulk revocation's key"));
                }
                put(batch, self.family(META)?, row);
                Ok(())
            }
            ADMIN_TOKEN_ROWS => {
                let token = admin_token::decode(&row.value)?;
                if row.key != admin_token::key(token.id) {
                    return Err(StorageError::Corrupt("an admin token's key"));
                }
                put(batch, self.family(META)?, row);
                Ok(())
            }
            SECRET_USE_ROWS => {
                secret_uses::decode(&row.key, &row.value)?;
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
        live: &mut LiveKeys,
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

/// Adds a row of a backup to `counts`.
///
/// # Errors
/// When the row cannot be decoded.
pub fn count_row(row: &CopyRow, counts: &mut CopyCounts) -> Result<(), StorageError> {
    match row.family {
        ..SHARDS_END => {
            record::decode(&row.key, &row.value)?;
            counts.keys += 1;
        }
        REQUEST_ROWS => {
            request::decode(&row.value)?;
            counts.requests += 1;
        }
        USED_ROWS => counts.uses += 1,
        BULK_REVOCATION_ROWS => {
            bulk_revocation::decode(&row.value)?;
        }
        ADMIN_TOKEN_ROWS => {
            admin_token::decode(&row.value)?;
        }
        SECRET_USE_ROWS => {
            secret_uses::decode(&row.key, &row.value)?;
        }
        CHANGE_ROWS => {
            change::decode(decode_position(&row.key)?, &row.value)?;
        }
        _ => return Err(StorageError::Corrupt("a row of an unknown family")),
    }
    counts.rows += 1;
    Ok(())
}

/// Whether the last chunk of a copy has the last change of the copy.
fn ends_at(chunk: &CopyChunk, place: &CopyPlace) -> bool {
    let position = encode_position(place.position);
    let mut rows = chunk.rows.iter();
    place.position.sequence.0 == 0
        || rows.any(|row| row.family == CHANGE_ROWS && row.key == position)
}

fn put(batch: &mut WriteBatch, family: &ColumnFamily, row: &CopyRow) {
    batch.put_cf(family, &row.key, &row.value);
}
