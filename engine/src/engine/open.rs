//! Opening an engine: recovery of the database, then the start of all threads.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use talos_model::{AdminTokens, BulkRevocations, Leadership, Mode, SecretUses};

use super::{Engine, Options};
use crate::admin_token_table::AdminTokenTable;
use crate::bulk_revocation::KeyCounter;
use crate::catch_up::{CatchUp, Deps};
use crate::commit::{Committer, CommitterDeps};
use crate::commit_position::CommitPosition;
use crate::disk::DiskPool;
use crate::error::OpenError;
use crate::last_used::LastUsed;
use crate::limits::{ADMIN_DISK_THREADS, DISK_THREADS};
use crate::membership::Membership;
use crate::notify::Notify;
use crate::secret_use_table::SecretUseTable;
use crate::snapshot::SnapshotPermits;
use crate::storage::{self, Journal, Opened, RecordReader, StorageError, StorageSizes, Wanted};
use crate::usage::Usage;
use crate::verifier::{Verifier, VerifierOptions};
use crate::warm_up::WarmUp;

impl Engine {
    /// Opens or creates the database of a primary.
    ///
    /// # Errors
    /// If the directory is not a data directory, is in use, holds an unfinished restore, has a
    /// newer format, belongs to a replica or is damaged; see [`OpenError`].
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        Self::open_as(options, Mode::Primary)
    }

    /// Opens or creates the database of a primary or a replica.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_as(options: Options, mode: Mode) -> Result<Arc<Self>, OpenError> {
        storage::refuse_unfinished_restore(&options.path)?;
        Self::open_restored(options, mode)
    }

    /// [`Engine::open_as`] for the restore that fills the data directory.
    pub(crate) fn open_restored(options: Options, mode: Mode) -> Result<Arc<Self>, OpenError> {
        Self::open_with(options, mode, |reader| reader, |journal| journal)
    }

    /// [`Engine::open_as`] with wrappers around the storage, for tests.
    pub(crate) fn open_with(
        options: Options,
        mode: Mode,
        wrap_reader: impl FnOnce(Arc<dyn RecordReader>) -> Arc<dyn RecordReader>,
        wrap_journal: impl FnOnce(Box<dyn Journal>) -> Box<dyn Journal>,
    ) -> Result<Arc<Self>, OpenError> {
        let Opened {
            store,
            journal,
            last,
            last_time,
            standing,
        } = storage::open(&options.path, wanted(&options))?;
        if mode == Mode::Primary && standing.leadership == Leadership::Other {
            return Err(OpenError::Replica {
                path: options.path,
                epoch: standing.epochs.newest().0,
            });
        }
        let thread_error = |error: std::io::Error| OpenError::Storage {
            path: options.path.clone(),
            message: error.to_string(),
        };
        let last_used =
            LastUsed::start(Arc::clone(&store), options.last_used).map_err(thread_error)?;
        let unreadable = |error: StorageError| OpenError::Storage {
            path: options.path.clone(),
            message: error.to_string(),
        };
        let bulk_revocations = store.bulk_revocations().map_err(unreadable)?;
        // The rows of an incomplete copy are not in force.
        let admin_tokens = match standing.copying {
            Some(_) => Vec::new(),
            None => store.admin_tokens().map_err(unreadable)?,
        };
        let secret_uses = match standing.copying {
            Some(_) => SecretUses::default(),
            None => store.secret_uses().map_err(unreadable)?,
        };
        let verifier = Arc::new(Verifier::new(VerifierOptions {
            reader: wrap_reader(Arc::clone(&store) as Arc<dyn RecordReader>),
            shards: store.shards(),
            cache_bytes: options.cache_bytes,
            tenants: options.tenants,
            bulk_revocations: BulkRevocations::new(bulk_revocations),
            render: options.render,
            render_token: options.render_token,
            usage: Usage::new(store.shards(), Arc::clone(&last_used)),
        }));
        let weak_verifier = Arc::downgrade(&verifier);
        last_used.set_key_lookup(Box::new(move |key| {
            let verifier = weak_verifier.upgrade();
            verifier.is_some_and(|verifier| verifier.knows(key))
        }));
        let disk = DiskPool::start("disk", DISK_THREADS).map_err(thread_error)?;
        let admin_disk = DiskPool::start("admin-disk", ADMIN_DISK_THREADS).map_err(thread_error)?;
        if standing.copying.is_some() {
            verifier.close();
        }
        let commit_position = Arc::new(CommitPosition::new(last));
        let membership = Arc::new(Mutex::new(Membership { mode, standing }));
        let admin_tokens = Arc::new(AdminTokenTable::new(AdminTokens::new(admin_tokens)));
        let secret_uses = Arc::new(SecretUseTable::new(secret_uses));
        let (wake_catch_up, woken) = Notify::new();
        let deps = CommitterDeps {
            last,
            last_time,
            commit_position: Arc::clone(&commit_position),
            membership: Arc::clone(&membership),
            admin_tokens: Arc::clone(&admin_tokens),
            secret_uses: Arc::clone(&secret_uses),
            catch_up: wake_catch_up.clone(),
        };
        let journal = wrap_journal(Box::new(journal));
        let committer =
            Committer::start(journal, Arc::clone(&verifier), deps).map_err(thread_error)?;
        let committer = Arc::new(committer);
        let deps = Deps {
            verifier: Arc::clone(&verifier),
            shards: store.shards(),
            committer: Arc::clone(&committer),
            membership: Arc::clone(&membership),
        };
        let catch_up = CatchUp::start(wake_catch_up, woken, deps).map_err(thread_error)?;
        Ok(Arc::new(Self {
            verifier,
            committer,
            catch_up,
            key_counter: KeyCounter::default(),
            disk,
            admin_disk,
            store,
            last_used,
            warm_up: WarmUp::default(),
            cache_bytes: options.cache_bytes,
            commit_position,
            membership,
            admin_tokens,
            secret_uses,
            snapshots: Arc::new(SnapshotPermits::new(options.snapshots)),
            failure_timeout_ms: AtomicU64::new(0),
        }))
    }
}

/// What the storage must have.
fn wanted(options: &Options) -> Wanted {
    Wanted {
        retention: Some(options.retention),
        sizes: StorageSizes {
            block_cache_bytes: options.block_cache_bytes,
            write_buffer_bytes: options.write_buffer_bytes,
            table_memory: options.table_memory,
        },
        ..Wanted::new(options.shards, options.block_cache_bytes)
    }
}
