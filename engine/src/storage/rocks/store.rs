//! The open database and access to its column families.

use rocksdb::{ColumnFamily, DB, IteratorMode, ReadOptions, properties};
#[cfg(test)]
use talos_model::{AdminToken, BulkRevocation, KeyId, TenantId};
use talos_model::{Change, Position, RecordKey, Sequence, ShardId};

use super::families::{COUNTS, INDEX, LAST, LOG, META, REQUESTS, USED, shard_name};
#[cfg(test)]
use super::view::Row;
use crate::shards::Shards;
use crate::storage::error::StorageError;
use crate::storage::format::change;
use crate::storage::format::position::decode_position;
#[cfg(test)]
use crate::storage::format::{admin_token, bulk_revocation, position::encode_position};

/// An open RocksDB database.
pub struct RocksStore {
    pub db: DB,
    pub shards: Shards,
    pub shard_names: Vec<String>,
    pub memory_reads: ReadOptions,
}

impl RocksStore {
    pub(super) fn new(db: DB, shards: Shards, memory_reads: ReadOptions) -> Self {
        Self {
            db,
            shards,
            shard_names: shards.all().map(shard_name).collect(),
            memory_reads,
        }
    }

    /// The division of keys into shards.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// The last change in the log; `None` when there is none.
    pub fn last_position(&self) -> Result<Option<Position>, StorageError> {
        let mut newest = self.db.iterator_cf(self.family(LOG)?, IteratorMode::End);
        newest
            .next()
            .map(|entry| decode_position(&entry?.0))
            .transpose()
    }

    /// The changes in the log, newest first.
    pub fn newest_changes(
        &self,
    ) -> Result<impl Iterator<Item = Result<Change, StorageError>>, StorageError> {
        let newest = self.db.iterator_cf(self.family(LOG)?, IteratorMode::End);
        Ok(newest.map(|entry| {
            let (key, value) = entry?;
            change::decode(decode_position(&key)?, &value)
        }))
    }

    /// The sequence of the last change to a shard, as stored in the shard; 0 when there is none.
    pub fn last_of_shard(&self, shard: ShardId) -> Result<Sequence, StorageError> {
        let bytes = self.db.get_pinned_cf(self.shard(shard)?, LAST)?;
        let Some(bytes) = bytes else {
            return Ok(Sequence(0));
        };
        let bytes = bytes
            .as_ref()
            .try_into()
            .map_err(|_| StorageError::Corrupt("a shard's last sequence"))?;
        Ok(Sequence(u64::from_le_bytes(bytes)))
    }

    pub fn family(&self, name: &str) -> Result<&ColumnFamily, StorageError> {
        self.db
            .cf_handle(name)
            .ok_or(StorageError::Corrupt("a column family is missing"))
    }

    pub fn shard(&self, shard: ShardId) -> Result<&ColumnFamily, StorageError> {
        let name = self.shard_names.get(usize::from(shard.0));
        self.family(name.map_or("", String::as_str))
    }

    pub fn shard_of(&self, key: &RecordKey) -> ShardId {
        self.shards.shard_of(self.shards.hash(key))
    }

    /// The memory of indexes and filters beside the block cache, in bytes.
    pub fn table_bytes(&self) -> Result<u64, StorageError> {
        let fixed = [META, LOG, REQUESTS, INDEX, COUNTS, USED];
        let shards = self.shard_names.iter().map(String::as_str);
        let mut bytes = 0;
        for name in fixed.into_iter().chain(shards) {
            let property = properties::ESTIMATE_TABLE_READERS_MEM;
            let used = self
                .db
                .property_int_value_cf(self.family(name)?, property)?;
            bytes += used.unwrap_or(0);
        }
        Ok(bytes)
    }

    /// Syncs the write-ahead log and ends background work. Files are closed on drop.
    pub fn close(&self) {
        if let Err(error) = self.db.flush_wal(true) {
            tracing::warn!(%error, "the write-ahead log could not be synced at shutdown");
        }
        self.db.cancel_all_background_work(true);
    }
}

/// For tests: damages the database, and dumps it for comparison.
#[cfg(test)]
impl RocksStore {
    pub fn remove_change(&self, position: Position) {
        let log = self.family(LOG).expect("the log");
        self.db
            .delete_cf(log, encode_position(position))
            .expect("a deletion");
    }

    /// The entries of a family. Counts of 0 are left out, because they mean the same as no entry.
    pub fn dump(&self, name: &str) -> Vec<Row> {
        let family = self.family(name).expect("a family");
        let entries = self.db.iterator_cf(family, IteratorMode::Start);
        let is_kept = |(_, value): &Row| name != COUNTS || **value != [0; 8];
        entries
            .map(|entry| entry.expect("an entry"))
            .filter(is_kept)
            .collect()
    }

    /// Writes the index's memtable to a file, and so begins another write-ahead log. The old one
    /// stays, because other families need it.
    pub fn begin_write_ahead_log(&self) {
        let index = self.family(INDEX).expect("the index");
        self.db.flush_cf(index).expect("a flush");
    }

    /// Writes all memtables to files, so that no write-ahead log is needed.
    pub fn flush_all(&self) {
        let fixed = [META, LOG, REQUESTS, INDEX, COUNTS, USED].map(str::to_owned);
        for name in fixed.iter().chain(&self.shard_names) {
            let family = self.family(name).expect("a family");
            self.db.flush_cf(family).expect("a flush");
        }
    }

    pub fn remove_bulk_revocation(&self, bulk_revocation: &BulkRevocation) {
        let meta = self.family(META).expect("a family");
        let key = bulk_revocation::key(bulk_revocation);
        self.db.delete_cf(meta, key).expect("a deletion");
    }

    pub fn put_admin_token(&self, token: &AdminToken) {
        let meta = self.family(META).expect("a family");
        let bytes = admin_token::encode(token).expect("bytes");
        self.db
            .put_cf(meta, admin_token::key(token.id), bytes)
            .expect("a write");
    }

    pub fn remove_admin_token(&self, token: &AdminToken) {
        let meta = self.family(META).expect("a family");
        let key = admin_token::key(token.id);
        self.db.delete_cf(meta, key).expect("a deletion");
    }

    pub fn remove_record(&self, tenant: TenantId, key_id: KeyId) {
        let key = RecordKey::new(tenant, key_id);
        let shard = self.shard(self.shard_of(&key)).expect("a shard");
        self.db
            .delete_cf(shard, key.as_bytes())
            .expect("a deletion");
    }
}
