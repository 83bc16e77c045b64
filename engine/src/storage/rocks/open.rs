//! Opens a data directory or creates one: its lock, its witness, its database and its journal.

use std::path::Path;
use std::sync::Arc;

use talos_model::clock::{self, UnixMillis};
use talos_model::limits::SHARDS_MAX;
use talos_model::{NodeState, Position};

use super::database::Database;
use super::journal::RocksJournal;
use super::memory::{StorageMemory, StorageSizes, TableMemory};
use super::opener::Opener;
use super::options;
use super::recovery::{self, Fault};
use super::store::RocksStore;
use crate::error::OpenError;
use crate::limits::WRITE_BUFFER_BYTES;
use crate::storage::directory::Directory;
use crate::storage::retention::Retention;
use crate::storage::witness::Witness;

/// An open database.
pub struct Opened {
    /// For reading.
    pub store: Arc<Database>,
    /// For writing.
    pub journal: RocksJournal,
    /// The last change in the log; [`Position::START`] while a copy is incomplete.
    pub last: Position,
    /// The time of that change; `None` if the log is empty.
    pub last_time: Option<UnixMillis>,
    /// Durable state of the node besides its changes.
    pub standing: NodeState,
}

/// How to open a database.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Number of shards if the database is new.
    pub shards: u16,
    /// Number of shards that an existing database must have; `None` = any.
    pub required_shards: Option<u16>,
    /// Its memory.
    pub sizes: StorageSizes,
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
            sizes: StorageSizes {
                block_cache_bytes,
                write_buffer_bytes: WRITE_BUFFER_BYTES,
                table_memory: TableMemory::Beside,
            },
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
        path: path.to_owned(),
        memory: StorageMemory::new(wanted.sizes),
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
    let store = RocksStore::new(db, shards, options::memory_reads());
    let (standing, last) =
        recovery::checked(&store, acknowledged).map_err(|fault| fault.at(path))?;
    let last_time = match standing.copying {
        // The parts do not match before the copy is complete.
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
    let store = Arc::new(Database::new(store, opener, directory));
    let journal = RocksJournal {
        database: Arc::clone(&store),
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
