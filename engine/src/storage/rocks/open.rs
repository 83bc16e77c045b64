//! Opening a database, or making one.
//!
//! A database is made beside its place, whole, and then moved there: a start that is cut off at any moment leaves either
//! nothing or a database that opens.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use rocksdb::{Cache, ColumnFamilyDescriptor, DB, ErrorKind, Options};
use talos_model::limits::SHARDS_MAX;
use talos_model::{NodeState, Position, ShardId, clock};
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

/// In `META`: how the key space is divided.
const IDENTITY: &[u8] = b"identity";
const FIXED_FAMILIES: [&str; 5] = [META, LOG, REQUESTS, INDEX, COUNTS];
/// Families that older releases did not make. They begin empty in a database of theirs.
const ADDED_FAMILIES: [&str; 1] = [USED];

/// An open database.
pub struct Opened {
    /// Reads.
    pub store: Arc<RocksStore>,
    /// Writes.
    pub journal: RocksJournal,
    /// The last change in the log; the place before the first one in the midst of a copy.
    pub last: Position,
    /// What is durable besides.
    pub standing: NodeState,
}

#[derive(SchemaWrite, SchemaRead)]
struct IdentityV1 {
    shards: u16,
    seed: u64,
}

/// How a database is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Shards of a new database.
    pub shards: u16,
    /// Shards that an existing one must have, if somebody insists.
    pub shards_asked: Option<u16>,
    /// Memory for blocks of files.
    pub block_cache_bytes: usize,
    /// What the log may keep; `None` = nothing is dropped.
    pub retention: Option<Retention>,
}

impl Wanted {
    /// `shards` of a new database, rounded up to a power of two, one per core when nobody asks; an existing one must have
    /// as many as are asked for. Nothing of the log is dropped.
    pub fn new(shards: Option<u16>, block_cache_bytes: usize) -> Self {
        let count = shards
            .unwrap_or_else(default_shards)
            .min(SHARDS_MAX)
            .next_power_of_two();
        Self {
            shards: count,
            shards_asked: shards.map(|_| count),
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

/// Opens the database in `path`, or makes one, and checks that nothing acknowledged is missing.
pub fn open(path: &Path, wanted: Wanted) -> Result<Opened, OpenError> {
    let directory = Directory::claim(path)?;
    let failed = |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    };
    let (witness, noted) = Witness::open(&directory.witness()).map_err(failed)?;
    let place = Place {
        path,
        cache: Cache::new_lru_cache(wanted.block_cache_bytes),
    };
    if !directory.database().exists() {
        place.create(&directory, wanted.shards)?;
    }
    let (db, shards) = place.open(&directory.database())?;
    if let Some(asked) = wanted.shards_asked.filter(|&asked| asked != shards.count()) {
        return Err(OpenError::Shards {
            stored: shards.count(),
            asked,
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
        // Nothing in there fits together before the copy is complete.
        Some(_) => Position::START,
        None => recovery::check(&store, &standing.epochs, noted).map_err(|fault| fault.at(path))?,
    };
    // Now, and not with the first commit, the file gets its place on the disk: a full disk must not stop a commit here.
    witness.note(last).map_err(failed)?;
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
        standing,
    })
}

/// Where errors say they happened, and what all families share.
struct Place<'a> {
    path: &'a Path,
    cache: Cache,
}

impl Place<'_> {
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
        // RocksDB makes the threads here that flush and compact, for all databases of the process. They can wait, verifications
        // cannot.
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
