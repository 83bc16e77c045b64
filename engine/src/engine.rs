//! The engine as its users see it.
use std::path::PathBuf;
use std::sync::Arc;
use crate::command::{Command, CommandError, Outcome};
use crate::error::{OpenError, ReadError};
use crate::ids::{KeyId, TenantId};
use crate::keyring::Keyring;
use crate::record::Record;
use crate::verify::{Answer, PendingRead, Query, Step};

/// Renders the answer body of a valid key from its record and the configured issuer.
pub type RenderBody = fn(&Record, issuer: &str) -> Vec<u8>;

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
    /// Secrets, prefixes, issuer.
    pub keyring: Keyring,
    /// The answer body of a valid key.
    pub render: RenderBody,
}

/// A record that was read from disk for a verification.
#[derive(Debug)]
pub struct Loaded {}

/// Whether writes are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Ok,
    /// Writes are stopped, for this reason; verification goes on.
    WritesStopped(String),
}

/// One open database and everything that serves it. Shared by reference between all threads.
pub struct Engine {}

impl Engine {
    /// Opens or creates the database.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> { let _ = options; todo!() }
    /// Hands a command to the committer. `done` is called exactly once, on another thread or on this one, after the
    /// change is durable and published, or when it is refused.
    pub fn submit(&self, command: Command, done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static) { let _ = (command, done); todo!() }
    /// Reads one record from storage on a disk thread; `done` is called exactly once.
    pub fn get(&self, tenant: TenantId, key_id: KeyId, done: impl FnOnce(Result<Option<Record>, ReadError>) + Send + 'static) { let _ = (tenant, key_id, done); todo!() }
    /// Answers from memory, without waiting, or says which read is needed. `answer` is called at most once, at once.
    pub fn verify<R>(&self, query: &Query<'_>, answer: impl FnOnce(Answer<'_>) -> R) -> Step<R> { let _ = (query, answer); todo!() }
    /// Performs the read on a disk thread; `done` is called exactly once, also when the queue is full (the answer is then an internal error).
    pub fn read(&self, pending: PendingRead, done: impl FnOnce(Loaded) + Send + 'static) { let _ = (pending, done); todo!() }
    /// Answers the query for which `loaded` was read.
    pub fn finish<R>(&self, query: &Query<'_>, loaded: Loaded, answer: impl FnOnce(Answer<'_>) -> R) -> R { let _ = (query, loaded, answer); todo!() }
    /// Whether writes are accepted.
    pub fn health(&self) -> Health { todo!() }
    /// Swaps secrets, prefixes and issuer; every proof made before is void at once.
    pub fn set_keyring(&self, keyring: Keyring) { let _ = keyring; todo!() }
    /// Refuses new commands, finishes those waiting, and closes the database cleanly. Idempotent.
    pub fn shutdown(&self) { todo!() }
}
