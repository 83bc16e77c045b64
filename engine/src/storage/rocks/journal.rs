//! Makes changes durable in RocksDB: one synced write batch per group, then the witness file.

use std::sync::Arc;

use rocksdb::{WriteBatch, WriteOptions};
use talos_model::{CopyChunk, CopyEnd, CopyPlace, LogRead, Position, ReadLimits, Sequence};

use super::database::Database;
use super::store::RocksStore;
use crate::limits::LOG_TRIM_CHANGES;
use crate::storage::error::StorageError;
use crate::storage::journal::{Group, Journal, MembershipWrite, ReopenError, Reopened};
use crate::storage::retention::Retention;
use crate::storage::witness::Witness;

/// Writes groups of changes to RocksDB, synced.
pub struct RocksJournal {
    pub(super) database: Arc<Database>,
    pub(super) synced: WriteOptions,
    pub(super) witness: Witness,
    /// Bounds of the log; `None` = keep everything.
    pub(super) retention: Option<Retention>,
    /// Changes written since the log was last trimmed.
    pub(super) untrimmed: u64,
}

impl Journal for RocksJournal {
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError> {
        let Some(last) = group.changes.last() else {
            return Ok(());
        };
        self.database.with(|store| {
            let batch = store.batch(group)?;
            Ok::<_, StorageError>(store.db.write_opt(batch, &self.synced)?)
        })?;
        self.witness.write(last.position)?;
        self.untrimmed += group.changes.len() as u64;
        if let Some(retention) = self.retention
            && self.untrimmed >= LOG_TRIM_CHANGES
        {
            self.untrimmed = 0;
            // A log that is too long must not stop writes. If the disk fails, the next write
            // returns the error.
            let trimmed = self
                .database
                .with(|store| store.trim_log(retention, last.time));
            if let Err(error) = trimmed {
                tracing::warn!(%error, "the change log could not be trimmed");
            }
        }
        Ok(())
    }

    fn write_membership(&mut self, write: &MembershipWrite<'_>) -> Result<(), StorageError> {
        self.database.with(|store| match write {
            MembershipWrite::EpochHistory(state) => self.write(store, store.epochs_batch(state)?),
            MembershipWrite::BeginCopy(state, place) => {
                self.begin_copy(store, store.clearing_batch(state, place)?)
            }
            MembershipWrite::Install(chunk, place) => {
                self.install(store, store.chunk_batch(chunk, place)?, chunk, place)
            }
            MembershipWrite::ForgetSecrets(secrets) => {
                self.write(store, store.forgetting_batch(secrets)?)
            }
        })
    }

    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.database.change_at(position)
    }

    fn reopen(
        &mut self,
        before_readers: &mut dyn FnMut(Position),
    ) -> Result<Reopened, ReopenError> {
        let (last, standing) = self.database.reopen(before_readers)?;
        // As at a start: the file's room on the disk is taken now.
        let written = match standing.copying {
            Some(_) => self.witness.write(last).and_then(|()| self.witness.sync()),
            None => self.witness.write(last),
        };
        written.map_err(|error| ReopenError::Never(error.to_string()))?;
        Ok(Reopened { last, standing })
    }

    fn changes_after(
        &self,
        after: Position,
        up_to: Sequence,
        limits: ReadLimits,
    ) -> Result<LogRead, StorageError> {
        self.database.changes_after(after, up_to, limits)
    }
}

impl RocksJournal {
    fn write(&self, store: &RocksStore, batch: WriteBatch) -> Result<(), StorageError> {
        Ok(store.db.write_opt(batch, &self.synced)?)
    }

    /// Clears the database and resets the witness, because the copy may end before the position in
    /// the witness.
    fn begin_copy(&self, store: &RocksStore, batch: WriteBatch) -> Result<(), StorageError> {
        self.write(store, batch)?;
        // The witness must be on disk before the copy is complete. Until then `COPYING` exists, and
        // opening the database does not check the witness.
        self.witness.write(Position::START)?;
        Ok(self.witness.sync()?)
    }

    fn install(
        &self,
        store: &RocksStore,
        batch: WriteBatch,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<(), StorageError> {
        match chunk.end {
            // Not synced: if a power cut loses chunks, it loses the cursor too, and the copy
            // resumes from an earlier one. The sync of the last chunk covers all chunks.
            CopyEnd::More => Ok(store.db.write_opt(batch, &WriteOptions::default())?),
            CopyEnd::Last => {
                self.write(store, batch)?;
                Ok(self.witness.write(place.position)?)
            }
        }
    }
}

impl Drop for RocksJournal {
    fn drop(&mut self) {
        if let Err(error) = self.witness.sync() {
            tracing::warn!(%error, "the witness file could not be synced at shutdown");
        }
    }
}
