//! Records and changes in RocksDB: S column families of records, one of the change log, one of request ids, one of facts
//! about the database itself.

use std::sync::Arc;

use rocksdb::{ColumnFamily, DB, ErrorKind, IteratorMode, ReadOptions, WriteBatch, WriteOptions};
use talos_model::{
    Change, CopyChunk, CopyEnd, CopyPlace, KeyKind, ListQuery, NodeStanding, Page, Position,
    Record, RecordKey, Rule, Sequence, ShardId, TenantId,
};

use super::directory::Directory;
use super::retention::Retention;
use super::witness::Witness;
use super::{
    Group, InMemory, Journal, Rows, Step, StorageError, Stretch, change_format, record_format,
};
use crate::limits::LOG_TRIM_CHANGES;
use crate::shards::Shards;

pub const META: &str = "meta";
pub const LOG: &str = "log";
pub const REQUESTS: &str = "requests";
pub const INDEX: &str = "index";
/// How many keys of each tenant are not revoked.
pub const COUNTS: &str = "counts";
/// When each key was last used. Younger than the format: a database may not have it yet.
pub const USED: &str = "used";
/// In every shard: the sequence of the last change to it. Shorter than any record's key, hence never one.
pub const LAST: &[u8] = b"last";

/// An open database.
pub struct Opened {
    /// Reads.
    pub store: Arc<RocksStore>,
    /// Writes.
    pub journal: RocksJournal,
    /// The last change in the log; the place before the first one in the midst of a copy.
    pub last: Position,
    /// What is durable besides.
    pub standing: NodeStanding,
}

/// Reads records from RocksDB.
pub struct RocksStore {
    pub(super) db: DB,
    pub(super) shards: Shards,
    pub(super) shard_names: Vec<String>,
    pub(super) memory_reads: ReadOptions,
    /// Locked as long as the database is open.
    pub(super) _directory: Directory,
}

/// Writes groups of changes to RocksDB, synced.
pub struct RocksJournal {
    pub(super) store: Arc<RocksStore>,
    pub(super) synced: WriteOptions,
    pub(super) witness: Witness,
    /// What the log may keep; `None` = all.
    pub(super) retention: Option<Retention>,
    /// Changes written since the log was last looked at for what may go.
    pub(super) untrimmed: u64,
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Io(error.into_string())
    }
}

impl RocksStore {
    /// How keys are divided.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// The last change in the log; `None` when there is none.
    pub fn last_position(&self) -> Result<Option<Position>, StorageError> {
        let mut newest = self.db.iterator_cf(self.family(LOG)?, IteratorMode::End);
        newest
            .next()
            .map(|entry| change_format::decode_position(&entry?.0))
            .transpose()
    }

    /// The last changes in the log, newest first.
    pub fn newest_changes(
        &self,
    ) -> Result<impl Iterator<Item = Result<Change, StorageError>>, StorageError> {
        let newest = self.db.iterator_cf(self.family(LOG)?, IteratorMode::End);
        Ok(newest.map(|entry| {
            let (key, value) = entry?;
            change_format::decode(change_format::decode_position(&key)?, &value)
        }))
    }

    /// The sequence of the last change to a shard, from the shard itself.
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

    /// Ends background work; what follows is only the closing of files.
    pub fn close(&self) {
        if let Err(error) = self.db.flush_wal(true) {
            tracing::warn!(%error, "the write-ahead log could not be synced at shutdown");
        }
        self.db.cancel_all_background_work(true);
    }
}

/// Damage and comparison, for tests.
#[cfg(test)]
impl RocksStore {
    pub fn remove_change(&self, position: Position) {
        let log = self.family(LOG).expect("the log");
        self.db
            .delete_cf(log, change_format::encode_position(position))
            .expect("a deletion");
    }

    /// The entries of a family. A count of 0 says no more than none.
    pub fn dump(&self, name: &str) -> Vec<super::rocks_view::Row> {
        let family = self.family(name).expect("a family");
        let entries = self.db.iterator_cf(family, IteratorMode::Start);
        let is_said = |(_, value): &super::rocks_view::Row| name != COUNTS || **value != [0; 8];
        entries
            .map(|entry| entry.expect("an entry"))
            .filter(is_said)
            .collect()
    }

    pub fn remove_rule(&self, rule: &Rule) {
        let meta = self.family(META).expect("a family");
        let key = super::rule_format::key(rule);
        self.db.delete_cf(meta, key).expect("a deletion");
    }

    pub fn remove_record(&self, tenant: TenantId, key_id: talos_model::KeyId) {
        let key = RecordKey::new(tenant, key_id);
        let shard = self.shard(self.shard_of(&key)).expect("a shard");
        self.db
            .delete_cf(shard, key.as_bytes())
            .expect("a deletion");
    }
}

impl Rows for RocksStore {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let family = self.shard(self.shard_of(key))?;
        match self
            .db
            .get_pinned_cf_opt(family, key.as_bytes(), &self.memory_reads)
        {
            Ok(Some(bytes)) => record_format::decode(key.as_bytes(), &bytes)
                .map(|record| InMemory::Found(Box::new(record))),
            Ok(None) => Ok(InMemory::Absent),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(InMemory::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let bytes = self
            .db
            .get_pinned_cf(self.shard(self.shard_of(key))?, key.as_bytes())?;
        bytes
            .map(|bytes| record_format::decode(key.as_bytes(), &bytes))
            .transpose()
    }

    fn key_of_request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RecordKey>, StorageError> {
        let request = request_key(tenant, kind, request_id);
        let bytes = self.db.get_pinned_cf(self.family(REQUESTS)?, request)?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let (tenant, key_id) =
            RecordKey::split(&bytes).ok_or(StorageError::Corrupt("a request's key"))?;
        Ok(Some(RecordKey::new(tenant, key_id)))
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        let bytes = self
            .db
            .get_pinned_cf(self.family(COUNTS)?, tenant.0.as_bytes())?;
        let Some(bytes) = bytes else {
            return Ok(0);
        };
        let bytes = bytes.as_ref().try_into();
        Ok(u64::from_le_bytes(
            bytes.map_err(|_| StorageError::Corrupt("a tenant's count"))?,
        ))
    }

    fn list(&self, query: &ListQuery) -> Result<Page, StorageError> {
        self.page(query)
    }

    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Stretch, StorageError> {
        Self::scan(self, shard, tenant, after, limit, wanted)
    }

    fn rules(&self) -> Result<Vec<Rule>, StorageError> {
        Self::rules(self)
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        Self::read_all(self, shard, keys)
    }
}

/// The key of an idempotency key: issues and imports do not meet.
pub fn request_key(tenant: TenantId, kind: KeyKind, request_id: &str) -> Vec<u8> {
    [
        tenant.0.as_bytes(),
        [kind.code()].as_slice(),
        request_id.as_bytes(),
    ]
    .concat()
}

impl Journal for RocksJournal {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        let Some(last) = group.changes.last() else {
            return Ok(());
        };
        self.store
            .db
            .write_opt(self.store.batch(group)?, &self.synced)?;
        self.witness
            .note(last.position)
            .map_err(|error| StorageError::Io(error.to_string()))?;
        self.untrimmed += group.changes.len() as u64;
        if let Some(retention) = self.retention
            && self.untrimmed >= LOG_TRIM_CHANGES
        {
            self.untrimmed = 0;
            // A log that stays too long is no reason to stop writing; if the disk is, the next write will tell.
            if let Err(error) = self.store.trim_log(retention, last.time) {
                tracing::warn!(%error, "the change log could not be trimmed");
            }
        }
        Ok(())
    }

    fn take(&mut self, step: &Step<'_>) -> Result<(), StorageError> {
        let store = &self.store;
        match step {
            Step::Lineage(lineage, reigns) => self.write(store.lineage_batch(lineage, *reigns)?),
            Step::BeginCopy(lineage, place) => {
                self.begin_copy(store.clearing_batch(lineage, place)?)
            }
            Step::Install(chunk, place) => {
                self.install(store.chunk_batch(chunk, place)?, chunk, place)
            }
        }
    }

    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.store.change_at(position)
    }
}

impl RocksJournal {
    fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        Ok(self.store.db.write_opt(batch, &self.synced)?)
    }

    /// A copy begins from nothing, and its end may be older than what the witness says.
    fn begin_copy(&self, batch: WriteBatch) -> Result<(), StorageError> {
        self.write(batch)?;
        let failed = |error: std::io::Error| StorageError::Io(error.to_string());
        // On disk before the copy can be complete: nobody doubts the witness while the mark of the copy stands.
        self.witness.note(Position::START).map_err(failed)?;
        self.witness.sync().map_err(failed)
    }

    fn install(
        &self,
        batch: WriteBatch,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<(), StorageError> {
        match chunk.end {
            // What a power cut takes of the middle of a copy, its cursor included, comes again. The sync of the end is one of all.
            CopyEnd::More => Ok(self.store.db.write_opt(batch, &WriteOptions::default())?),
            CopyEnd::Last => {
                self.write(batch)?;
                let noted = self.witness.note(place.position);
                noted.map_err(|error| StorageError::Io(error.to_string()))
            }
        }
    }
}

impl Drop for RocksJournal {
    fn drop(&mut self) {
        if let Err(error) = self.witness.sync() {
            tracing::warn!(%error, "the witness file could not be synced at shutdown");
        }
    }
}
