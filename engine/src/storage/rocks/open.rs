//! Opening or creating a database.
//!
//! A database is created in a temporary directory and then renamed. A start that is interrupted at
//! any moment leaves either no database or one that opens.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use rocksdb::{Cache, ColumnFamilyDescriptor, DB, ErrorKind, Options};
use talos_model::clock::{self, UnixMillis};
use talos_model::limits::SHARDS_MAX;
use talos_model::{NodeState, Position, ShardId};
use wincode::{SchemaRead, SchemaWrite};

use super::families::{COUNTS, INDEX, LOG, META, REQUESTS, USED};
use super::journal::RocksJournal;
use super::options;
use super::recovery::{self, Fault};
use super::store::RocksStore;
use crate::error::OpenError;
use crate::priority;
use crate::shards::Shards;
use crate::storage::directory::Directory;
use crate::storage::retention::Retention;
use crate::storage::witness::Witness;

/// Key in `META` of the number of shards and the seed of their hash.
const IDENTITY: &[u8] = b"identity";
const FIXED_FAMILIES: [&str; 5] = [META, LOG, REQUESTS, INDEX, COUNTS];
/// Families that older releases did not create. In a database of such a release they begin empty.
const ADDED_FAMILIES: [&str; 1] = [USED];

/// An open database.
pub struct Opened {
    /// For reading.
    pub store: Arc<RocksStore>,
    /// For writing.
    pub journal: RocksJournal,
    /// The last change in the log; [`Position::START`] while a copy is incomplete.
    pub last: Position,
    /// The time of that change; `None` if the log is empty.
    pub last_time: Option<UnixMillis>,
    /// Durable state of the node besides its changes.
    pub standing: NodeState,
}

#[derive(SchemaWrite, SchemaRead)]
struct IdentityV1 {
    shards: u16,
    seed: u64,
}

/// How to open a database.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Number of shards if the database is new.
    pub shards: u16,
    /// Number of shards that an existing database must have; `None` = any.
    pub required_shards: Option<u16>,
    /// Size of the block cache in bytes.
    pub block_cache_bytes: usize,
    /// Bounds of the log; `None` = keep everything.
    pub retention: Option<Retention>,
}

impl Wanted {
    /// `shards` is rounded up to a power of two. A new database gets that many shards, and an
    /// existing one must have that many. With `None` a new database gets one shard per core, and an
    /// existing one may have any number. The log keeps everything.
    pub fn new(shards: Option<u16>, block_cache_bytes: usize) -> Self {
        let count = shards
            .unwrap_or_else(default_shards)
            .min(SHARDS_MAX)
            .next_power_of_two();
        Self {
            shards: count,
            required_shards: shards.map(|_| count),
            block_cache_bytes,
            retention: None,
        }
    }
}

fn default_shards() -> u16 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cores| u16::try_from(cores.get()).ok())
        .unwrap_or(1)
}

/// Opens the database in `path`, or creates one, and checks that no acknowledged change is missing.
pub fn open(path: &Path, wanted: Wanted) -> Result<Opened, OpenError> {
    let directory = Directory::claim(path)?;
    let failed = |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    };
    let (witness, acknowledged) = Witness::open(&directory.witness()).map_err(failed)?;
    let opener = Opener {
        path,
        cache: Cache::new_lru_cache(wanted.block_cache_bytes),
    };
    if !directory.database().exists() {
        opener.create(&directory, wanted.shards)?;
    }
    let (db, shards) = opener.open(&directory.database())?;
    let is_other = |required: &u16| *required != shards.count();
    if let Some(required) = wanted.required_shards.filter(is_other) {
        return Err(OpenError::Shards {
            stored: shards.count(),
            asked: required,
        });
    }
    let store = Arc::new(RocksStore {
        db,
        shards,
        shard_names: shards.all().map(shard_name).collect(),
        memory_reads: options::memory_reads(),
        _directory: directory,
    });
    let standing = recovery::standing(&store).map_err(|fault| fault.at(path))?;
    let last = match standing.copying {
        // The parts do not match before the copy is complete.
        Some(_) => Position::START,
        None => recovery::check(&store, &standing.epochs, acknowledged)
            .map_err(|fault| fault.at(path))?,
    };
    let last_time = match standing.copying {
        Some(_) => None,
        None => store
            .time_of(last)
            .map_err(|error| Fault::from(error).at(path))?,
    };
    // Allocate the file's space on disk now: a full disk must not make a later commit fail here.
    witness.write(last).map_err(failed)?;
    if standing.copying.is_some() {
        witness.sync().map_err(failed)?;
    }
    if let Some(retention) = wanted.retention {
        store
            .trim_log(retention, clock::now())
            .map_err(|error| Fault::from(error).at(path))?;
    }
    let journal = RocksJournal {
        store: Arc::clone(&store),
        synced: options::synced_writes(),
        witness,
        retention: wanted.retention,
        untrimmed: 0,
    };
    Ok(Opened {
        store,
        journal,
        last,
        last_time,
        standing,
    })
}

/// Opens and creates the RocksDB database of one data directory.
struct Opener<'a> {
    /// The data directory, for errors.
    path: &'a Path,
    /// Shared by all column families.
    cache: Cache,
}

impl Opener<'_> {
    fn create(&self, directory: &Directory, shards: u16) -> Result<(), OpenError> {
        let failed = |source| OpenError::Directory {
            path: self.path.to_owned(),
            source,
        };
        let unfinished = directory.unfinished_database();
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(failed)?;
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| self.storage(error.to_string()))?;
        let shards = Shards::new(shards, u64::from_le_bytes(seed)).ok_or_else(|| {
            self.storage(format!(
                "{shards} shards are not a power of two up to {SHARDS_MAX}"
            ))
        })?;
        let identity = IdentityV1 {
            shards: shards.count(),
            seed: shards.seed(),
        };
        let identity =
            wincode::serialize(&identity).map_err(|error| self.storage(error.to_string()))?;
        let fixed = FIXED_FAMILIES.into_iter().chain(ADDED_FAMILIES);
        let fixed = fixed.map(str::to_owned);
        let db = self.open_families(&unfinished, fixed.chain(shards.all().map(shard_name)))?;
        let meta = db
            .cf_handle(META)
            .ok_or_else(|| self.damaged("a column family is missing"))?;
        db.put_cf_opt(meta, IDENTITY, identity, &options::synced_writes())
            .map_err(|error| self.refused(&error))?;
        drop(db);
        let sync = |path: &Path| File::open(path)?.sync_all();
        sync(&unfinished).map_err(failed)?;
        fs::rename(&unfinished, directory.database()).map_err(failed)?;
        sync(self.path).map_err(failed)
    }

    fn open(&self, database: &Path) -> Result<(DB, Shards), OpenError> {
        let families =
            DB::list_cf(&options::database(), database).map_err(|error| self.refused(&error))?;
        let added = ADDED_FAMILIES.into_iter().map(str::to_owned);
        let added: Vec<_> = added.filter(|name| !families.contains(name)).collect();
        let families = families.into_iter().filter(|name| name != "default");
        let db = self.open_families(database, families.chain(added))?;
        let missing = |name: &str| db.cf_handle(name).is_none();
        if let Some(name) = FIXED_FAMILIES.into_iter().find(|name| missing(name)) {
            return Err(self.damaged(&format!("column family {name} is missing")));
        }
        let meta = db
            .cf_handle(META)
            .ok_or_else(|| self.damaged("a column family is missing"))?;
        let identity = db
            .get_cf(meta, IDENTITY)
            .map_err(|error| self.refused(&error))?;
        let identity = identity.ok_or_else(|| self.damaged("its identity is missing"))?;
        let identity: IdentityV1 = wincode::deserialize_exact(&identity)
            .map_err(|_| self.damaged("its identity is unreadable"))?;
        let shards = Shards::new(identity.shards, identity.seed)
            .ok_or_else(|| self.damaged("its shard count is impossible"))?;
        if let Some(shard) = shards.all().find(|&shard| missing(&shard_name(shard))) {
            return Err(self.damaged(&format!("shard {} is missing", shard.0)));
        }
        Ok((db, shards))
    }

    fn open_families(
        &self,
        database: &Path,
        families: impl Iterator<Item = String>,
    ) -> Result<DB, OpenError> {
        let descriptors = families.map(|name| {
            let options = self.family_options(&name);
            ColumnFamilyDescriptor::new(name, options)
        });
        let descriptors: Vec<_> = descriptors.collect();
        // RocksDB starts its flush and compaction threads here, for all databases of the process.
        // They inherit the low priority and give way to verifications.
        priority::low(|| DB::open_cf_descriptors(&options::database(), database, descriptors))
            .map_err(|error| self.storage(error.to_string()))?
            .map_err(|error| self.refused(&error))
    }

    fn family_options(&self, name: &str) -> Options {
        match name {
            INDEX => options::index(&self.cache),
            LOG => options::ordered(&self.cache),
            USED => options::used(&self.cache),
            _ => options::records(&self.cache),
        }
    }

    fn refused(&self, error: &rocksdb::Error) -> OpenError {
        let (path, message) = (self.path.to_owned(), error.to_string());
        match error.kind() {
            ErrorKind::Corruption => OpenError::Damaged {
                path,
                what: message,
            },
            _ => OpenError::Storage { path, message },
        }
    }

    fn damaged(&self, what: &str) -> OpenError {
        OpenError::Damaged {
            path: self.path.to_owned(),
            what: what.to_owned(),
        }
    }

    fn storage(&self, message: String) -> OpenError {
        OpenError::Storage {
            path: self.path.to_owned(),
            message,
        }
    }
}

fn shard_name(shard: ShardId) -> String {
    format!("shard-{:03}", shard.0)
}
