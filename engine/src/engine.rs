//! The public interface of the engine.

mod bulk_revocation;
mod commands;
mod fleet;
mod log;
mod open;
mod reads;
mod secrets;
mod tenants;
mod verify;

pub use fleet::Watch;
pub use log::{LogStart, decode_change};

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use talos_cells::{Reading, pin};
use talos_credentials::{DeriveError, DeriveToken, DerivedToken, Tenant};
use talos_model::clock::{self, UnixMillis};
use talos_model::{AdminTokens, Health, KeyId, ReadError, Record, RecordKey, TenantId};
use uuid::Uuid;

use crate::admin_token_table::AdminTokenTable;
use crate::bulk_revocation::KeyCounter;
use crate::catch_up::CatchUp;
use crate::commit::Committer;
use crate::commit_position::CommitPosition;
use crate::disk::DiskPool;
use crate::last_used::{LastUsed, LastUsedCounts, LastUsedOptions};
use crate::membership::Membership;
use crate::render::{RenderBody, RenderTokenBody};
use crate::secret_use_table::SecretUseTable;
use crate::snapshot::SnapshotPermits;
use crate::storage::{Retention, RocksStore, StorageError};
use crate::verifier::{PendingRead, Verifier};
use crate::warm_up::WarmUp;

/// The options of an engine.
pub struct Options {
    /// The data directory. Created if it is missing.
    pub path: PathBuf,
    /// The number of shards of a new database, rounded up to a power of two; `None` = one per core.
    /// An existing database keeps its own number.
    pub shards: Option<u16>,
    /// The size of RocksDB's block cache in bytes.
    pub block_cache_bytes: usize,
    /// The memory budget of cells and proofs in bytes; 0 = every verification reads storage.
    pub cache_bytes: usize,
    /// How last uses of keys are gathered.
    pub last_used: LastUsedOptions,
    /// How much the change log keeps.
    pub retention: Retention,
    /// How many full copies may be sent at a time.
    pub snapshots: usize,
    /// The tenants, of which each id occurs once.
    pub tenants: Vec<Arc<Tenant>>,
    /// Renders the answer body of a valid key.
    pub render: RenderBody,
    /// Renders the answer body of a valid derived token.
    pub render_token: RenderTokenBody,
}

/// A record that was read from disk for a verification.
#[derive(Debug)]
pub struct Loaded {
    pending: PendingRead,
    record: Result<Option<Record>, StorageError>,
}

/// An open database and everything that serves it. Shared by all threads.
pub struct Engine {
    verifier: Arc<Verifier>,
    committer: Arc<Committer>,
    catch_up: CatchUp,
    key_counter: KeyCounter,
    disk: DiskPool,
    admin_disk: DiskPool,
    store: Arc<RocksStore>,
    last_used: Arc<LastUsed>,
    warm_up: WarmUp,
    cache_bytes: usize,
    commit_position: Arc<CommitPosition>,
    membership: Arc<Mutex<Membership>>,
    admin_tokens: Arc<AdminTokenTable>,
    secret_uses: Arc<SecretUseTable>,
    snapshots: Arc<SnapshotPermits>,
}

impl Engine {
    /// Starts the warm-up: a thread of low priority brings the records of all usable keys into
    /// memory, as far as there is room.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn warm_up(&self) -> std::io::Result<()> {
        let verifier = Arc::clone(&self.verifier);
        self.warm_up
            .start(verifier, self.store.shards(), self.cache_bytes)
    }

    /// The memory that rate limits use, in bytes.
    pub fn rate_limit_used_bytes(&self) -> usize {
        self.verifier.usage().limiter().used_bytes()
    }

    /// Notes a use of a key other than a verification. Never blocks. If too many uses are waiting,
    /// this one is dropped and counted.
    pub fn touch(&self, tenant: TenantId, key_id: KeyId, now: UnixMillis) {
        self.last_used.touch(&RecordKey::new(tenant, key_id), now);
    }

    /// How many uses of keys were written and dropped since the start.
    pub fn last_used_counts(&self) -> LastUsedCounts {
        self.last_used.counts()
    }

    /// Derives a token from the key `parent` for a client at `client_ip`. The caller passes the
    /// key's current record. Writes nothing.
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
        let tenant = self.verifier.current(&guard).tenants.get(parent.tenant);
        let keyring = tenant.ok_or(DeriveError::NoTenant)?.keyring();
        let now = clock::now();
        talos_credentials::derive(keyring, parent, wanted, client_ip, now, Uuid::new_v4())
    }

    /// The admin tokens in force, on any thread, without a lock. The result stays as it is; look
    /// anew for each request, and do not keep it while waiting. A change of a token is acknowledged
    /// after every later call returns it. While a full copy is incomplete there are no tokens.
    #[inline]
    pub fn admin_tokens(&self) -> Reading<'_, Arc<AdminTokens>> {
        self.admin_tokens.read()
    }

    /// Whether writes are accepted.
    pub fn health(&self) -> Health {
        self.committer.failure().map_or(Health::Ok, |reason| {
            Health::WritesStopped(reason.to_owned())
        })
    }

    /// The memory of cells, cached keys and proofs, in bytes.
    pub fn cache_used_bytes(&self) -> usize {
        self.verifier.cache_used_bytes()
    }

    /// The warm-up thread, for tests that wait for it.
    #[cfg(test)]
    pub(crate) fn warm_up_thread(&self) -> &WarmUp {
        &self.warm_up
    }

    /// Whether memory knows that a key exists, for tests.
    #[cfg(test)]
    pub(crate) fn knows(&self, tenant: TenantId, key_id: KeyId) -> bool {
        self.verifier.knows(&RecordKey::new(tenant, key_id))
    }

    /// The store itself, for tests that damage it.
    #[cfg(test)]
    pub(crate) fn store(&self) -> &RocksStore {
        &self.store
    }

    /// Never frees the memory of the cells; for a process that is about to end. The system frees it
    /// at once, while freeing ten million cells one by one takes 15 seconds.
    pub fn leak_cells(&self) {
        self.verifier.leak_cells();
    }

    /// Refuses new commands, finishes those in the queue, and ends background work. Idempotent. The
    /// files are closed when the last reference to the engine is dropped.
    pub fn shutdown(&self) {
        self.warm_up.stop();
        self.key_counter.stop();
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

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn read_error(error: StorageError) -> ReadError {
    ReadError::Storage(error.to_string())
}
