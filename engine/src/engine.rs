//! The engine as its users see it.

mod bulk_revocation;
mod fleet;
mod log;
mod verify;

pub use fleet::Watch;
pub use log::{LogStart, decode_change};

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use talos_cells::pin;
use talos_credentials::{DeriveError, DeriveToken, DerivedToken, Keyring, MacaroonPrefixes};
use talos_model::clock::{self, UnixMillis};
use talos_model::{
    BulkRevocations, Command, CommandError, KeyId, Leadership, ListQuery, Mode, Outcome, Page,
    ReadError, Record, RecordKey, Rejection, TenantId, Visibility,
};
use uuid::Uuid;

use crate::bulk_revocation::KeyCounter;
use crate::catch_up::{CatchUp, Deps};
use crate::commit::{Committer, CommitterDeps, Credential, Done, Prepared};
use crate::commit_position::CommitPosition;
use crate::disk::{Admission, DiskPool};
use crate::error::OpenError;
use crate::last_used::{LastUsed, LastUsedCounts, LastUsedOptions};
use crate::limiter::Enforcement;
use crate::limits::{ADMIN_DISK_THREADS, DISK_THREADS};
use crate::membership::Membership;
use crate::notify::Notify;
use crate::render::{RenderBody, RenderTokenBody};
use crate::snapshot::SnapshotPermits;
use crate::storage::{
    self, Journal, Opened, RecordReader, Retention, RocksStore, StorageError, Wanted,
};
use crate::usage::Usage;
use crate::verifier::{PendingRead, Verifier};
use crate::warm_up::WarmUp;

/// How to open an engine.
pub struct Options {
    /// The data directory; made when missing.
    pub path: PathBuf,
    /// Shards of a new database, rounded up to a power of two; `None` = one per core. An existing database keeps its own.
    pub shards: Option<u16>,
    /// RocksDB's block cache.
    pub block_cache_bytes: usize,
    /// Cells and proofs; 0 = every verification reads storage.
    pub cache_bytes: usize,
    /// After this many seconds an answer is read from storage again.
    pub cache_ttl_s: u32,
    /// How uses of keys are gathered.
    pub last_used: LastUsedOptions,
    /// What the change log may keep.
    pub retention: Retention,
    /// Full copies that may be sent at a time.
    pub snapshots: usize,
    /// Secrets, prefixes, issuer.
    pub keyring: Keyring,
    /// The answer body of a valid key.
    pub render: RenderBody,
    /// The answer body of a valid derived token.
    pub render_token: RenderTokenBody,
}

/// A record that was read from disk for a verification.
#[derive(Debug)]
pub struct Loaded {
    pending: PendingRead,
    record: Result<Option<Record>, StorageError>,
}

/// Whether writes are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Ok,
    /// Writes are stopped, for this reason; verification goes on.
    WritesStopped(String),
}

/// One open database and everything that serves it. Shared by reference between all threads.
pub struct Engine {
    verifier: Arc<Verifier>,
    committer: Arc<Committer>,
    catch_up: CatchUp,
    counts: KeyCounter,
    disk: DiskPool,
    admin_disk: DiskPool,
    store: Arc<RocksStore>,
    last_used: Arc<LastUsed>,
    warm_up: WarmUp,
    cache_bytes: usize,
    commit_position: Arc<CommitPosition>,
    membership: Arc<Mutex<Membership>>,
    snapshots: Arc<SnapshotPermits>,
}

impl Engine {
    /// Opens or creates the database of a node that takes commands.
    ///
    /// # Errors
    /// When the directory is not ours, in use, of a newer format, a replica's or damaged; see [`OpenError`].
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        Self::open_as(options, Mode::Primary)
    }

    /// The same for a node of either kind.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_as(options: Options, mode: Mode) -> Result<Arc<Self>, OpenError> {
        Self::open_with(options, mode, |reader| reader, |journal| journal)
    }

    /// The same with something between the engine and its storage.
    pub(crate) fn open_with(
        options: Options,
        mode: Mode,
        wrap_reader: impl FnOnce(Arc<dyn RecordReader>) -> Arc<dyn RecordReader>,
        wrap_journal: impl FnOnce(Box<dyn Journal>) -> Box<dyn Journal>,
    ) -> Result<Arc<Self>, OpenError> {
        let wanted = Wanted {
            retention: Some(options.retention),
            ..Wanted::new(options.shards, options.block_cache_bytes)
        };
        let Opened {
            store,
            journal,
            last,
            standing,
        } = storage::open(&options.path, wanted)?;
        if mode == Mode::Primary && standing.leadership == Leadership::Other {
            return Err(OpenError::Replica {
                path: options.path,
                epoch: standing.epochs.newest().0,
            });
        }
        let threads = |error: std::io::Error| OpenError::Storage {
            path: options.path.clone(),
            message: error.to_string(),
        };
        let last_used = LastUsed::start(Arc::clone(&store), options.last_used).map_err(threads)?;
        let bulk_revocations = store
            .bulk_revocations()
            .map_err(|error| OpenError::Storage {
                path: options.path.clone(),
                message: error.to_string(),
            })?;
        let verifier = Arc::new(Verifier::new(
            wrap_reader(Arc::clone(&store) as Arc<dyn RecordReader>),
            store.shards(),
            options.cache_bytes,
            options.cache_ttl_s,
            (options.keyring, BulkRevocations::new(bulk_revocations)),
            (options.render, options.render_token),
            Usage::new(store.shards(), Arc::clone(&last_used)),
        ));
        let known_to = Arc::downgrade(&verifier);
        last_used.ask(Box::new(move |key| {
            let verifier = known_to.upgrade();
            verifier.is_some_and(|verifier| verifier.knows(key))
        }));
        let disk = DiskPool::start("disk", DISK_THREADS).map_err(threads)?;
        let admin_disk = DiskPool::start("admin-disk", ADMIN_DISK_THREADS).map_err(threads)?;
        if standing.copying.is_some() {
            verifier.close();
        }
        let commit_position = Arc::new(CommitPosition::new(last));
        let membership = Arc::new(Mutex::new(Membership { mode, standing }));
        let (bell, rings) = Notify::new();
        let start = CommitterDeps {
            last,
            commit_position: Arc::clone(&commit_position),
            membership: Arc::clone(&membership),
            catch_up: bell.clone(),
        };
        let journal = wrap_journal(Box::new(journal));
        let committer = Committer::start(journal, Arc::clone(&verifier), start).map_err(threads)?;
        let committer = Arc::new(committer);
        let means = Deps {
            verifier: Arc::clone(&verifier),
            shards: store.shards(),
            committer: Arc::clone(&committer),
            membership: Arc::clone(&membership),
        };
        let catch_up = CatchUp::start(bell, rings, means).map_err(threads)?;
        Ok(Arc::new(Self {
            verifier,
            committer,
            catch_up,
            counts: KeyCounter::default(),
            disk,
            admin_disk,
            store,
            last_used,
            warm_up: WarmUp::default(),
            cache_bytes: options.cache_bytes,
            commit_position,
            membership,
            snapshots: Arc::new(SnapshotPermits::new(options.snapshots)),
        }))
    }

    /// Begins to bring all keys that can still be used into memory, as far as there is room, on a thread of low priority.
    ///
    /// # Errors
    /// When the thread does not start.
    pub fn warm_up(&self) -> std::io::Result<()> {
        let verifier = Arc::clone(&self.verifier);
        self.warm_up
            .start(verifier, self.store.shards(), self.cache_bytes)
    }

    /// Hands a command to the committer. `done` is called exactly once, on another thread or on this one, after the
    /// change is durable and published, or when it is refused.
    pub fn submit(
        &self,
        command: Command,
        done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static,
    ) {
        self.submit_at(command, clock::now(), done);
    }

    /// The same at a given time.
    pub(crate) fn submit_at(
        &self,
        command: Command,
        now: UnixMillis,
        done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static,
    ) {
        let done: Done = Box::new(done);
        match self.prepare(command, now) {
            Ok(command) => self.committer.submit(command, now, done),
            Err(rejection) => done(Err(rejection.into())),
        }
    }

    /// Draws ids and makes credentials, so that applying the command needs neither chance nor secrets.
    fn prepare(&self, command: Command, now: UnixMillis) -> Result<Prepared, Rejection> {
        let uuid = Uuid::new_v4();
        let guard = pin();
        let keyring = &self.verifier.current(&guard).keyring;
        let credential = |visibility| {
            let prefix = keyring.prefix(visibility);
            let made = keyring.make(visibility, now, uuid).zip(prefix);
            let made = made.map(|(secret, prefix)| Credential {
                secret,
                prefix: prefix.to_owned(),
            });
            made.ok_or(Rejection::NoPublicPrefix)
        };
        Ok(match command {
            Command::Issue(command) => Prepared::Issue {
                credential: credential(command.visibility)?,
                command,
                uuid,
            },
            Command::Rotate(command) => Prepared::Rotate {
                command,
                uuid,
                secret: credential(Visibility::Secret)?,
                public: credential(Visibility::Public).ok(),
            },
            Command::Import(command) => Prepared::Import(command),
            Command::ImportMany(commands) => Prepared::ImportMany(commands),
            Command::Update(command) => Prepared::Update(command),
            Command::Revoke(command) => Prepared::Revoke(command),
            Command::RevokeWhere(command) => Prepared::RevokeWhere(command, uuid),
            Command::Delete(command) => Prepared::Delete(command),
        })
    }

    /// From now on a tenant may have this many keys that are not revoked; `None` = any number.
    pub fn set_live_keys_max(&self, live_keys_max: Option<u64>) {
        self.committer
            .set_live_keys_max(live_keys_max.unwrap_or(u64::MAX));
    }

    /// From the next verification on, whoever exceeds the rate limit of a key is refused, or no longer. What was used before
    /// limits were enforced does not count, nor what was used before a restart.
    pub fn set_rate_limits(&self, enforcement: Enforcement) {
        self.verifier.usage().limiter().set_enforcement(enforcement);
    }

    /// Bytes of memory in which it is counted how often keys are used.
    pub fn rate_limit_used_bytes(&self) -> usize {
        self.verifier.usage().limiter().used_bytes()
    }

    /// Reads a page of keys on a disk thread; `done` is called exactly once.
    pub fn list(
        &self,
        query: ListQuery,
        done: impl FnOnce(Result<Page, ReadError>) + Send + 'static,
    ) {
        let (verifier, last_used) = (Arc::clone(&self.verifier), Arc::clone(&self.last_used));
        self.admin_disk.submit(Box::new(move |turn| {
            let list = || {
                let mut page = verifier.page(&query)?;
                page.last_used = last_used.of(&page.records)?;
                Ok(page)
            };
            done(match turn {
                Admission::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Admission::Run => {
                    list().map_err(|error: StorageError| ReadError::Storage(error.to_string()))
                }
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }

    /// Reads on a disk thread when the key of `record` was last used; `done` is called exactly once. The time lags behind by
    /// up to the interval of [`LastUsedOptions`].
    pub fn last_used(
        &self,
        record: Record,
        done: impl FnOnce(Result<Option<UnixMillis>, ReadError>) + Send + 'static,
    ) {
        let last_used = Arc::clone(&self.last_used);
        self.admin_disk.submit(Box::new(move |turn| {
            done(match turn {
                Admission::Run => last_used
                    .of(&[record])
                    .map(|times| times.into_iter().flatten().next())
                    .map_err(|error| ReadError::Storage(error.to_string())),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }

    /// Notes a use of a key that is no verification. Waits for nothing; a use beyond what can wait is dropped and counted.
    pub fn touch(&self, tenant: TenantId, key_id: KeyId, now: UnixMillis) {
        self.last_used.touch(&RecordKey::new(tenant, key_id), now);
    }

    /// What became of uses of keys since the start.
    pub fn last_used_counts(&self) -> LastUsedCounts {
        self.last_used.counts()
    }

    /// The prefixes of macaroons at this moment, by which [`talos_credentials::shape`] tells them from other credentials.
    pub fn macaroon_prefixes(&self) -> MacaroonPrefixes {
        let guard = pin();
        let tokens = self.verifier.current(&guard).keyring.tokens();
        tokens.macaroon_prefixes.clone()
    }

    /// Derives a token from the key `parent`, as its record stands now, for a client at `client_ip`. Nothing is stored.
    ///
    /// # Errors
    /// See [`DeriveError`].
    pub fn derive(
        &self,
        parent: &Record,
        wanted: DeriveToken,
        client_ip: Option<IpAddr>,
    ) -> Result<DerivedToken, DeriveError> {
        let guard = pin();
        let keyring = &self.verifier.current(&guard).keyring;
        let now = clock::now();
        talos_credentials::derive(keyring, parent, wanted, client_ip, now, Uuid::new_v4())
    }

    /// Reads one record from storage on a disk thread; `done` is called exactly once.
    pub fn get(
        &self,
        tenant: TenantId,
        key_id: KeyId,
        done: impl FnOnce(Result<Option<Record>, ReadError>) + Send + 'static,
    ) {
        let verifier = Arc::clone(&self.verifier);
        self.admin_disk.submit(Box::new(move |turn| {
            done(match turn {
                Admission::Run if verifier.is_closed() => Err(ReadError::Incomplete),
                Admission::Run => verifier
                    .record(&RecordKey::new(tenant, key_id))
                    .map_err(|error| ReadError::Storage(error.to_string())),
                Admission::Refused => Err(ReadError::Busy),
            });
        }));
    }

    /// Whether writes are accepted.
    pub fn health(&self) -> Health {
        self.committer.failure().map_or(Health::Ok, |reason| {
            Health::WritesStopped(reason.to_owned())
        })
    }

    /// Bytes of cells, rows and proofs in memory.
    pub fn cache_used_bytes(&self) -> usize {
        self.verifier.cache_used_bytes()
    }

    /// Swaps secrets, prefixes and issuer; every proof made before is void at once.
    pub fn set_keyring(&self, keyring: Keyring) {
        self.verifier.set_keyring(keyring);
    }

    /// The thread that warms up, for tests that wait for it.
    #[cfg(test)]
    pub(crate) fn warm_up_thread(&self) -> &WarmUp {
        &self.warm_up
    }

    /// Whether memory knows of a key, for tests of what rests on that.
    #[cfg(test)]
    pub(crate) fn knows(&self, tenant: TenantId, key_id: KeyId) -> bool {
        self.verifier.knows(&RecordKey::new(tenant, key_id))
    }

    /// The store itself, for tests that damage it.
    #[cfg(test)]
    pub(crate) fn store(&self) -> &RocksStore {
        &self.store
    }

    /// For a process that is about to end: what cells take is left to the system, for giving back ten million of them one by
    /// one takes a quarter of a minute.
    pub fn leak_cells(&self) {
        self.verifier.leak_cells();
    }

    /// Refuses new commands, finishes those waiting, and ends background work. Idempotent; the files are closed when the
    /// last reference to the engine is dropped.
    pub fn shutdown(&self) {
        self.warm_up.stop();
        self.counts.stop();
        self.catch_up.stop();
        self.committer.stop();
        self.last_used.stop();
        self.store.close();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown();
    }
}
