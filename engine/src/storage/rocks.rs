//! Records and changes in RocksDB: S column families of records, one of the change log, one of request ids, one of facts
//! about the database itself.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, ErrorKind, IteratorMode, Options, ReadOptions,
    WriteBatch, WriteOptions,
};
use wincode::{SchemaRead, SchemaWrite};

use super::change_format::{self, Change};
use super::directory::Directory;
use super::witness::Witness;
use super::{
    InMemory, Journal, RecordKey, Rows, StorageError, record_format, recovery, rocks_options,
};
use crate::error::OpenError;
use crate::ids::{Position, Sequence, ShardId, TenantId};
use crate::record::Record;
use crate::shards::Shards;

const META: &str = "meta";
const LOG: &str = "log";
const REQUESTS: &str = "requests";
/// In `META`: how the key space is divided.
const IDENTITY: &[u8] = b"identity";
/// In every shard: the sequence of the last change to it. Shorter than any record's key, hence never one.
const LAST: &[u8] = b"last";

#[derive(SchemaWrite, SchemaRead)]
struct IdentityV1 {
    shards: u16,
    seed: u64,
}

/// An open database.
pub struct Opened {
    /// Reads.
    pub store: Arc<RocksStore>,
    /// Writes.
    pub journal: RocksJournal,
    /// The last change in the log.
    pub last: Position,
}

/// Reads records from RocksDB.
pub struct RocksStore {
    db: DB,
    shards: Shards,
    shard_names: Vec<String>,
    memory_reads: ReadOptions,
}

/// Writes groups of changes to RocksDB, synced.
pub struct RocksJournal {
    store: Arc<RocksStore>,
    synced: WriteOptions,
    witness: Witness,
}

/// Opens the database in `path`, or makes one with `shards` shards, and checks that nothing acknowledged is missing.
pub fn open(
    path: &Path,
    shards: u16,
    asked: Option<u16>,
    block_cache_bytes: usize,
) -> Result<Opened, OpenError> {
    let directory = Directory::claim(path)?;
    let database = directory.database();
    let refused = |error: rocksdb::Error| classify(path, &error);
    let cache = Cache::new_lru_cache(block_cache_bytes);

    let options = rocks_options::database();
    let mut existing = if database.join("CURRENT").exists() {
        DB::list_cf(&options, &database).map_err(refused)?
    } else {
        Vec::new()
    };
    if !existing.is_empty() && !existing.iter().any(|name| name == META) {
        // Creation was cut off before the families existed; nothing was ever written.
        DB::destroy(&options, &database).map_err(refused)?;
        existing.clear();
    }
    let fixed = [META, LOG, REQUESTS].map(str::to_owned);
    let mut families: Vec<String> = existing
        .into_iter()
        .filter(|name| name != "default")
        .collect();
    families.extend(
        fixed
            .into_iter()
            .filter(|name| !families.contains(name))
            .collect::<Vec<_>>(),
    );
    let descriptors = families
        .iter()
        .map(|name| ColumnFamilyDescriptor::new(name, family_options(name, &cache)));
    let mut db = DB::open_cf_descriptors(&options, &database, descriptors).map_err(refused)?;

    let shards = identity(&mut db, &cache, path, shards, asked)?;
    let store = Arc::new(RocksStore {
        db,
        shards,
        shard_names: shards.all().map(shard_name).collect(),
        memory_reads: rocks_options::memory_reads(),
    });
    let (witness, noted) =
        Witness::open(&directory.witness()).map_err(|source| OpenError::Directory {
            path: path.to_owned(),
            source,
        })?;
    let last = recovery::check(&store, noted).map_err(|fault| fault.at(path))?;
    let journal = RocksJournal {
        store: Arc::clone(&store),
        synced: rocks_options::synced_writes(),
        witness,
    };
    Ok(Opened {
        store,
        journal,
        last,
    })
}

/// Reads how the database is divided, or decides it and makes the shards.
fn identity(
    db: &mut DB,
    cache: &Cache,
    path: &Path,
    wanted: u16,
    asked: Option<u16>,
) -> Result<Shards, OpenError> {
    let refused = |error: rocksdb::Error| classify(path, &error);
    let damaged = |what: &str| OpenError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    let meta = db
        .cf_handle(META)
        .ok_or_else(|| damaged("a column family is missing"))?;
    if let Some(bytes) = db.get_cf(meta, IDENTITY).map_err(refused)? {
        let identity: IdentityV1 = wincode::deserialize_exact(&bytes)
            .map_err(|_| damaged("its identity is unreadable"))?;
        let shards = Shards::new(identity.shards, identity.seed)
            .ok_or_else(|| damaged("its shard count is impossible"))?;
        if let Some(asked) = asked.filter(|&asked| asked != shards.count()) {
            return Err(OpenError::Shards {
                stored: shards.count(),
                asked,
            });
        }
        return match shards
            .all()
            .find(|&shard| db.cf_handle(&shard_name(shard)).is_none())
        {
            Some(shard) => Err(damaged(&format!("shard {} is missing", shard.0))),
            None => Ok(shards),
        };
    }
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| OpenError::Storage {
        path: path.to_owned(),
        message: error.to_string(),
    })?;
    let shards =
        Shards::new(wanted, u64::from_le_bytes(seed)).ok_or_else(|| OpenError::Storage {
            path: path.to_owned(),
            message: format!(
                "{wanted} shards are not a power of two up to {}",
                crate::limits::SHARDS_MAX
            ),
        })?;
    for shard in shards.all() {
        let name = shard_name(shard);
        if db.cf_handle(&name).is_none() {
            db.create_cf(&name, &family_options(&name, cache))
                .map_err(refused)?;
        }
    }
    let identity = IdentityV1 {
        shards: shards.count(),
        seed: shards.seed(),
    };
    let bytes =
        wincode::serialize(&identity).map_err(|_| damaged("its identity cannot be written"))?;
    let meta = db
        .cf_handle(META)
        .ok_or_else(|| damaged("a column family is missing"))?;
    db.put_cf_opt(meta, IDENTITY, bytes, &rocks_options::synced_writes())
        .map_err(refused)?;
    Ok(shards)
}

fn family_options(name: &str, cache: &Cache) -> Options {
    match name {
        LOG => rocks_options::log(cache),
        _ => rocks_options::records(cache),
    }
}

fn shard_name(shard: ShardId) -> String {
    format!("shard-{:03}", shard.0)
}

fn classify(path: &Path, error: &rocksdb::Error) -> OpenError {
    let (path, message) = (path.to_owned(), error.to_string());
    match error.kind() {
        ErrorKind::IOError if message.contains("lock") && message.contains("LOCK") => {
            OpenError::InUse { path }
        }
        ErrorKind::Corruption => OpenError::Damaged {
            path,
            what: message,
        },
        _ => OpenError::Storage { path, message },
    }
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

    fn family(&self, name: &str) -> Result<&ColumnFamily, StorageError> {
        self.db
            .cf_handle(name)
            .ok_or(StorageError::Corrupt("a column family is missing"))
    }

    fn shard(&self, shard: ShardId) -> Result<&ColumnFamily, StorageError> {
        let name = self.shard_names.get(usize::from(shard.0));
        self.family(name.map_or("", String::as_str))
    }

    fn shard_of(&self, key: &RecordKey) -> ShardId {
        self.shards.shard_of(self.shards.hash(key))
    }

    /// Everything that follows from `changes`, in one batch.
    fn batch(&self, changes: &[Change]) -> Result<WriteBatch, StorageError> {
        let mut batch = WriteBatch::default();
        let (log, requests) = (self.family(LOG)?, self.family(REQUESTS)?);
        for change in changes {
            let key = RecordKey::new(change.record.tenant, change.record.key_id);
            let shard = self.shard(self.shard_of(&key))?;
            let record = record_format::encode(&change.record)?;
            batch.put_cf(
                log,
                change_format::encode_position(change.position),
                change_format::encode(change, &record)?,
            );
            batch.put_cf(shard, key.as_bytes(), record);
            batch.put_cf(shard, LAST, change.position.sequence.0.to_le_bytes());
            if let Some(request_id) = &change.request_id {
                batch.put_cf(
                    requests,
                    request_key(change.record.tenant, request_id),
                    key.as_bytes(),
                );
            }
        }
        Ok(batch)
    }

    /// Ends background work; what follows is only the closing of files.
    pub fn close(&self) {
        if let Err(error) = self.db.flush_wal(true) {
            tracing::warn!(%error, "the write-ahead log could not be synced at shutdown");
        }
        self.db.cancel_all_background_work(true);
    }
}

/// Damage, for tests of recovery.
#[cfg(test)]
impl RocksStore {
    pub fn remove_change(&self, position: Position) {
        let log = self.family(LOG).expect("the log");
        self.db
            .delete_cf(log, change_format::encode_position(position))
            .expect("a deletion");
    }

    pub fn remove_record(&self, tenant: TenantId, key_id: crate::ids::KeyId) {
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
        request_id: &str,
    ) -> Result<Option<RecordKey>, StorageError> {
        let bytes = self
            .db
            .get_pinned_cf(self.family(REQUESTS)?, request_key(tenant, request_id))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let (tenant, key_id) =
            RecordKey::split(&bytes).ok_or(StorageError::Corrupt("a request's key"))?;
        Ok(Some(RecordKey::new(tenant, key_id)))
    }
}

fn request_key(tenant: TenantId, request_id: &str) -> Vec<u8> {
    [tenant.0.as_bytes(), request_id.as_bytes()].concat()
}

impl Journal for RocksJournal {
    fn append(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        let Some(last) = changes.last() else {
            return Ok(());
        };
        self.store
            .db
            .write_opt(self.store.batch(changes)?, &self.synced)?;
        self.witness
            .note(last.position)
            .map_err(|error| StorageError::Io(error.to_string()))
    }
}

impl Drop for RocksJournal {
    fn drop(&mut self) {
        if let Err(error) = self.witness.sync() {
            tracing::warn!(%error, "the witness file could not be synced at shutdown");
        }
    }
}
