//! Makes changes durable in RocksDB: one synced write batch per group, then the witness file.

use std::sync::Arc;

use rocksdb::{WriteBatch, WriteOptions};
use talos_model::{CopyChunk, CopyEnd, CopyPlace, Position};

use super::store::RocksStore;
use crate::limits::LOG_TRIM_CHANGES;
use crate::storage::error::StorageError;
use crate::storage::journal::{Group, Journal, MembershipWrite};
use crate::storage::retention::Retention;
use crate::storage::witness::Witness;

/// Writes groups of changes to RocksDB, synced.
pub struct RocksJournal {
    pub(super) store: Arc<RocksStore>,
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
        self.store
            .db
            .write_opt(self.store.batch(group)?, &self.synced)?;
        self.witness
            .write(last.position)
            .map_err(|error| StorageError::Io(error.to_string()))?;
        self.untrimmed += group.changes.len() as u64;
        if let Some(retention) = self.retention
            && self.untrimmed >= LOG_TRIM_CHANGES
        {
            self.untrimmed = 0;
            // A log that is too long must not stop writes. If the disk fails, the next write
            // returns the error.
            if let Err(error) = self.store.trim_log(retention, last.time) {
                tracing::warn!(%error, "the change log could not be trimmed");
            }
        }
        Ok(())
    }

    fn write_membership(&mut self, write: &MembershipWrite<'_>) -> Result<(), StorageError> {
        let store = &self.store;
        match write {
            MembershipWrite::EpochHistory(state) => self.write(store.epochs_batch(state)?),
            MembershipWrite::BeginCopy(state, place) => {
                self.begin_copy(store.clearing_batch(state, place)?)
            }
            MembershipWrite::Install(chunk, place) => {
                self.install(store.chunk_batch(chunk, place)?, chunk, place)
            }
            MembershipWrite::ForgetSecrets(secrets) => self.write(store.forgetting_batch(secrets)?),
        }
    }

    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError> {
        self.store.change_at(position)
    }
}

impl RocksJournal {
    fn write(&self, batch: WriteBatch) -> Result<(), StorageError> {
        Ok(self.store.db.write_opt(batch, &self.synced)?)
    }

    /// Clears the database and resets the witness, because the copy may end before the position in
    /// the witness.
    fn begin_copy(&self, batch: WriteBatch) -> Result<(), StorageError> {
        self.write(batch)?;
        let failed = |error: std::io::Error| StorageError::Io(error.to_string());
        // The witness must be on disk before the copy is complete. Until then `COPYING` exists, and
        // opening the database does not check the witness.
        self.witness.write(Position::START).map_err(failed)?;
        self.witness.sync().map_err(failed)
    }

    fn install(
        &self,
        batch: WriteBatch,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<(), StorageError> {
        match chunk.end {
            // Not synced: if a power cut loses chunks, it loses the cursor too, and the copy
            // resumes from an earlier one. The sync of the last chunk covers all chunks.
            CopyEnd::More => Ok(self.store.db.write_opt(batch, &WriteOptions::default())?),
            CopyEnd::Last => {
                self.write(batch)?;
                let written = self.witness.write(place.position);
                written.map_err(|error| StorageError::Io(error.to_string()))
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
