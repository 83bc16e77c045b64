//! The open database, which can be closed and opened again while the engine runs.
//!
//! After a failed write RocksDB accepts no more, and the end of its write-ahead log may be torn. On
//! a disk that was full and has room again the database is therefore opened anew: what is whole in
//! the log goes into a data file, and a new log begins. Until then reads go on. While the database
//! is closed, which takes as long as reading the log, reads on disk threads wait, and reads from
//! memory find nothing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockWriteGuard, TryLockError};
use std::thread;
use std::time::Instant;

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, BulkRevocation, KeyKind, ListQuery, LogRead, NodeState, Page, Position, ReadLimits,
    Record, RecordKey, SecretUse, SecretUses, Sequence, ShardId, TenantId,
};

use super::memory::StorageUse;
use super::opener::Opener;
use super::options;
use super::recovery;
use super::store::RocksStore;
use crate::error::OpenError;
use crate::limits::{REOPEN_POLL, REOPEN_ROOM_BYTES, REOPEN_WAIT};
use crate::secrets::KeyCount;
use crate::shards::Shards;
use crate::storage::directory::Directory;
use crate::storage::error::StorageError;
use crate::storage::format::request::RequestEntry;
use crate::storage::journal::ReopenError;
use crate::storage::record_reader::{InMemory, RecordReader, ScanPage};
use crate::storage::witness;

/// What the database is at the moment.
enum State {
    Open(RocksStore),
    /// It could not be opened again. Reads see what its log holds; writes are refused.
    OnlyReadable(RocksStore),
    /// Not even that.
    Closed,
}

impl State {
    fn store(&self) -> Option<&RocksStore> {
        match self {
            Self::Open(store) | Self::OnlyReadable(store) => Some(store),
            Self::Closed => None,
        }
    }
}

/// The open database.
pub struct Database {
    state: RwLock<State>,
    shards: Shards,
    opener: Opener,
    /// Holds the lock of the data directory.
    directory: Directory,
    is_closing: AtomicBool,
}

impl Database {
    pub(super) fn new(store: RocksStore, opener: Opener, directory: Directory) -> Self {
        Self {
            shards: store.shards(),
            state: RwLock::new(State::Open(store)),
            opener,
            directory,
            is_closing: AtomicBool::new(false),
        }
    }

    /// Reads the database. Waits while it is being opened again. `read` must not call this method.
    pub fn with<T, E: From<StorageError>>(
        &self,
        read: impl FnOnce(&RocksStore) -> Result<T, E>,
    ) -> Result<T, E> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        read(state.store().ok_or_else(closed)?)
    }

    /// Whether the database waits for its readers to end, to be opened again.
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// The division of keys into shards.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// The memory that the database uses. Does not wait while it is being opened again.
    pub fn used(&self) -> StorageUse {
        let state = self.state.try_read().ok();
        let store = state.as_ref().and_then(|state| state.store());
        let tables = store.and_then(|store| store.table_bytes().ok());
        StorageUse {
            tables: tables.unwrap_or_default(),
            ..self.opener.memory.used()
        }
    }

    /// Opens the database anew if its disk has room, and checks that no change up to the witness is
    /// missing. `before_readers` is called with the last change before any reader can see it.
    ///
    /// # Errors
    /// [`ReopenError::NotNow`] when there is no room, or a reader does not end; the database stays
    /// as it was, or can only be read. [`ReopenError::Never`] when only a restart may help.
    pub fn reopen(
        &self,
        before_readers: &mut dyn FnMut(Position),
    ) -> Result<(Position, NodeState), ReopenError> {
        self.check_room()?;
        self.is_closing.store(true, Ordering::Release);
        let reopened = self
            .lock()
            .and_then(|mut state| self.replace(&mut state, before_readers));
        self.is_closing.store(false, Ordering::Release);
        reopened
    }

    /// Waits until nothing reads the database. Does not queue for the lock: new readers would wait
    /// behind one that takes long.
    fn lock(&self) -> Result<RwLockWriteGuard<'_, State>, ReopenError> {
        let began = Instant::now();
        loop {
            match self.state.try_write() {
                Ok(state) => return Ok(state),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if began.elapsed() < REOPEN_WAIT => {
                    thread::sleep(REOPEN_POLL);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(ReopenError::NotNow("it is being read".to_owned()));
                }
            }
        }
    }

    fn replace(
        &self,
        state: &mut State,
        before_readers: &mut dyn FnMut(Position),
    ) -> Result<(Position, NodeState), ReopenError> {
        // Closes the database. Only one may be open at a time.
        *state = State::Closed;
        let acknowledged = witness::read_file(&self.directory.witness());
        let (db, shards) = match self.opener.open(&self.directory.database()) {
            Ok(opened) => opened,
            Err(error) => {
                *state = self.only_readable();
                return Err(self.refusal(&error));
            }
        };
        let store = RocksStore::new(db, shards, options::memory_reads());
        match recovery::checked(&store, acknowledged) {
            Ok((standing, last)) => {
                before_readers(last);
                *state = State::Open(store);
                Ok((last, standing))
            }
            Err(fault) => {
                *state = State::OnlyReadable(store);
                Err(self.refusal(&fault.at(&self.opener.path)))
            }
        }
    }

    fn only_readable(&self) -> State {
        match self.opener.open_for_reading(&self.directory.database()) {
            Ok(db) => {
                let store = RocksStore::new(db, self.shards, options::memory_reads());
                State::OnlyReadable(store)
            }
            Err(error) => {
                tracing::error!(%error, "the database cannot be read");
                State::Closed
            }
        }
    }

    /// Another process may have taken the room meanwhile.
    fn refusal(&self, error: &OpenError) -> ReopenError {
        match self.check_room() {
            Err(no_room) if matches!(error, OpenError::Storage { .. }) => no_room,
            _ => ReopenError::Never(error.to_string()),
        }
    }

    /// Opening writes the content of the log to data files, and reserves room for a new log.
    fn check_room(&self) -> Result<(), ReopenError> {
        let failed = |error: &dyn std::fmt::Display| ReopenError::NotNow(error.to_string());
        let path = self.directory.database();
        let disk = rustix::fs::statvfs(&path).map_err(|error| failed(&error))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let mut log = 0;
        for entry in fs::read_dir(&path).map_err(|error| failed(&error))? {
            let entry = entry.map_err(|error| failed(&error))?;
            if entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "log")
            {
                log += entry.metadata().map_err(|error| failed(&error))?.len();
            }
        }
        let needed = log.saturating_mul(2).saturating_add(REOPEN_ROOM_BYTES);
        if free < needed {
            return Err(ReopenError::NotNow(format!(
                "the disk has {free} bytes free, and {needed} are needed"
            )));
        }
        Ok(())
    }

    /// Syncs the write-ahead log and ends background work. Files are closed on drop.
    pub fn close(&self) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(store) = &*state {
            store.close();
        }
    }

    /// The database itself, for tests that damage it.
    #[cfg(test)]
    pub fn store(&self) -> OpenStore<'_> {
        OpenStore(self.state.read().unwrap())
    }
}

/// The database, for tests.
#[cfg(test)]
pub struct OpenStore<'a>(std::sync::RwLockReadGuard<'a, State>);

#[cfg(test)]
impl std::ops::Deref for OpenStore<'_> {
    type Target = RocksStore;

    fn deref(&self) -> &RocksStore {
        self.0.store().expect("an open database")
    }
}

fn closed() -> StorageError {
    StorageError::Io("the database could not be opened again".to_owned())
}

/// Reads of the log, and times of last use.
impl Database {
    /// The position of the oldest change in the log.
    pub fn first_position(&self) -> Result<Option<Position>, StorageError> {
        self.with(RocksStore::first_position)
    }

    /// The bytes of the change at `position`, if the log holds it.
    pub fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.with(|store| store.change_at(position))
    }

    /// The changes after `after`; see [`RocksStore::changes_after`].
    pub fn changes_after(
        &self,
        after: Position,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        self.with(|store| store.changes_after(after, up_to, limits))
    }

    /// The oldest changes in the log; see [`RocksStore::oldest_changes`].
    pub fn oldest_changes(
        &self,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        self.with(|store| store.oldest_changes(up_to, limits))
    }

    /// The stored last use of each key. May wait for the disk.
    pub fn last_uses(&self, keys: &[RecordKey]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        self.with(|store| store.last_uses(keys))
    }

    /// Writes uses, not synced; see [`RocksStore::write_last_uses`].
    pub fn write_last_uses(&self, uses: &[(RecordKey, UnixMillis)]) -> Result<(), StorageError> {
        self.with(|store| store.write_last_uses(uses))
    }

    /// The time of the change at `position`; `None` if the log does not hold it. May wait for the
    /// disk.
    pub fn time_of(&self, position: Position) -> Result<Option<UnixMillis>, StorageError> {
        self.with(|store| store.time_of(position))
    }

    /// See [`RocksStore::active_keys_made`].
    pub fn active_keys_made(
        &self,
        during: &SecretUse,
        now: UnixMillis,
        max_ttl_s: u64,
    ) -> Result<KeyCount, StorageError> {
        self.with(|store| store.active_keys_made(during, now, max_ttl_s))
    }

    /// Deletes the last use of the key if the key does not exist. May wait for the disk.
    pub fn delete_last_use_of_missing_key(&self, key: &RecordKey) -> Result<(), StorageError> {
        self.with(|store| store.delete_last_use_of_missing_key(key))
    }

    /// Deletes the last use of the key.
    pub fn delete_last_use(&self, key: &RecordKey) -> Result<(), StorageError> {
        self.with(|store| store.delete_last_use(key))
    }
}

impl RecordReader for Database {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        // A core never waits: while the database is closed, nothing is in its memory.
        let state = match self.state.try_read() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(InMemory::Unknown),
        };
        state.store().ok_or_else(closed)?.in_memory(key)
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        self.with(|store| store.read(key))
    }

    fn request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RequestEntry>, StorageError> {
        self.with(|store| store.request(tenant, kind, request_id))
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        self.with(|store| store.live_keys(tenant))
    }

    fn list(&self, query: &ListQuery, aged: UnixMillis) -> Result<Page, StorageError> {
        self.with(|store| store.list(query, aged))
    }

    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<ScanPage, StorageError> {
        self.with(|store| RecordReader::scan(store, shard, tenant, after, limit, wanted))
    }

    fn bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StorageError> {
        self.with(RocksStore::bulk_revocations)
    }

    fn admin_tokens(&self) -> Result<Vec<AdminToken>, StorageError> {
        self.with(RocksStore::admin_tokens)
    }

    fn secret_uses(&self) -> Result<SecretUses, StorageError> {
        self.with(RocksStore::secret_uses)
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        self.with(|store| RecordReader::read_all(store, shard, keys))
    }
}
