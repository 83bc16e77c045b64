//! Opening or creating the RocksDB database of a data directory.
//!
//! A database is created in a temporary directory and then renamed. A start that is interrupted at
//! any moment leaves either no database or one that opens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, DB, ErrorKind, Options};
use talos_model::limits::SHARDS_MAX;
use wincode::{SchemaRead, SchemaWrite};

use super::families::{COUNTS, INDEX, LOG, META, REQUESTS, USED, shard_name};
use super::memory::StorageMemory;
use super::options;
use crate::error::OpenError;
use crate::priority;
use crate::shards::Shards;
use crate::storage::directory::Directory;

/// Key in `META` of the number of shards and the seed of their hash.
const IDENTITY: &[u8] = b"identity";
const FIXED_FAMILIES: [&str; 5] = [META, LOG, REQUESTS, INDEX, COUNTS];
/// Families that older releases did not create. In a database of such a release they begin empty.
const ADDED_FAMILIES: [&str; 1] = [USED];

#[derive(SchemaWrite, SchemaRead)]
struct IdentityV1 {
    shards: u16,
    seed: u64,
}

/// Opens and creates the RocksDB database of one data directory.
pub(super) struct Opener {
    /// The data directory, for errors.
    pub(super) path: PathBuf,
    /// Shared by all column families.
    pub(super) memory: StorageMemory,
}

impl Opener {
    pub(super) fn create(&self, directory: &Directory, shards: u16) -> Result<(), OpenError> {
        let failed = |source| OpenError::Directory {
            path: self.path.clone(),
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
        sync(&self.path).map_err(failed)
    }

    pub(super) fn open(&self, database: &Path) -> Result<(DB, Shards), OpenError> {
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
        let descriptors = self.descriptors(families);
        let options = options::database_within(&self.memory);
        // RocksDB starts its flush and compaction threads here, for all databases of the process.
        // They inherit the low priority and give way to verifications.
        priority::low(|| DB::open_cf_descriptors(&options, database, descriptors))
            .map_err(|error| self.storage(error.to_string()))?
            .map_err(|error| self.refused(&error))
    }

    /// Opens the database for reading only: it writes nothing, and shows what the log holds.
    pub(super) fn open_for_reading(&self, database: &Path) -> Result<DB, OpenError> {
        let options = options::reading();
        let families = DB::list_cf(&options, database).map_err(|error| self.refused(&error))?;
        let families = families.into_iter().filter(|name| name != "default");
        let descriptors = self.descriptors(families);
        DB::open_cf_descriptors_read_only(&options, database, descriptors, false)
            .map_err(|error| self.refused(&error))
    }

    fn descriptors(&self, families: impl Iterator<Item = String>) -> Vec<ColumnFamilyDescriptor> {
        let descriptors = families.map(|name| {
            let options = self.family_options(&name);
            ColumnFamilyDescriptor::new(name, options)
        });
        descriptors.collect()
    }

    fn family_options(&self, name: &str) -> Options {
        match name {
            INDEX => options::index(&self.memory),
            LOG => options::ordered(&self.memory),
            USED => options::used(&self.memory),
            _ => options::records(&self.memory),
        }
    }

    fn refused(&self, error: &rocksdb::Error) -> OpenError {
        let (path, message) = (self.path.clone(), error.to_string());
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
            path: self.path.clone(),
            what: what.to_owned(),
        }
    }

    fn storage(&self, message: String) -> OpenError {
        OpenError::Storage {
            path: self.path.clone(),
            message,
        }
    }
}
