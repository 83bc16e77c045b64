//! Makes changes durable in RocksDB: one synced write batch a group, then the witness file.

use std::sync::Arc;

use rocksdb::{WriteBatch, WriteOptions};
use talos_model::{CopyChunk, CopyEnd, CopyPlace, Position};

use super::store::RocksStore;
use crate::limits::LOG_TRIM_CHANGES;
use crate::storage::error::StorageError;
use crate::storage::journal::{Group, Journal, Step};
use crate::storage::retention::Retention;
use crate::storage::witness::Witness;

/// Writes groups of changes to RocksDB, synced.
pub struct RocksJournal {
    pub(super) store: Arc<RocksStore>,
    pub(super) synced: WriteOptions,
    pub(super) witness: Witness,
    /// What the log may keep; `None` = all.
    pub(super) retention: Option<Retention>,
    /// Changes written since the log was last looked at for what may go.
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
            .note(last.position)
            .map_err(|error| StorageError::Io(error.to_string()))?;
        self.untrimmed += group.changes.len() as u64;
        if let Some(retention) = self.retention
            && self.untrimmed >= LOG_TRIM_CHANGES
        {
            self.untrimmed = 0;
            // A log that stays too long is no reason to stop writing; if the disk is, the next write will tell.
            if let Err(error) = self.store.trim_log(retention, last.time) {
                tracing::warn!(%error, "the change log could not be trimmed");
            }
        }
        Ok(())
    }

    fn take(&mut self, step: &Step<'_>) -> Result<(), StorageError> {
        let store = &self.store;
        match step {
            Step::EpochHistory(epochs, leadership) => {
                self.write(store.epochs_batch(epochs, *leadership)?)
            }
            Step::BeginCopy(epochs, place) => self.begin_copy(store.clearing_batch(epochs, place)?),
            Step::Install(chunk, place) => {
                self.install(store.chunk_batch(chunk, place)?, chunk, place)
            }
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

    /// A copy begins from nothing, and its end may be older than what the witness says.
    fn begin_copy(&self, batch: WriteBatch) -> Result<(), StorageError> {
        self.write(batch)?;
        let failed = |error: std::io::Error| StorageError::Io(error.to_string());
        // On disk before the copy can be complete: nobody doubts the witness while the mark of the copy stands.
        self.witness.note(Position::START).map_err(failed)?;
        self.witness.sync().map_err(failed)
    }

    fn install(
        &self,
        batch: WriteBatch,
        chunk: &CopyChunk,
        place: &CopyPlace,
    ) -> Result<(), StorageError> {
        match chunk.end {
            // What a power cut takes of the middle of a copy, its cursor included, comes again. The sync of the end is one of all.
            CopyEnd::More => Ok(self.store.db.write_opt(batch, &WriteOptions::default())?),
            CopyEnd::Last => {
                self.write(batch)?;
                let noted = self.witness.note(place.position);
                noted.map_err(|error| StorageError::Io(error.to_string()))
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
