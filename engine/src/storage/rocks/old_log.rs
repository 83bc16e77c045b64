//! The change log of a node that is no more, as far as it can still be read.
//!
//! Nothing in its directory is changed. What a power cut has torn off its end was never acknowledged, or is told of; a hole
//! before that is refused.

use std::fs::{File, TryLockError};
use std::path::Path;

use rocksdb::{DB, Direction, IteratorMode, Options};
use talos_model::{
    EpochHistory, EpochStart, LogRead, LoggedChange, Position, ReadLimits, Sequence,
};

use super::families::{LOG, META};
use super::{log, options};
use crate::error::OpenError;
use crate::storage::error::StorageError;
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, decode_epochs};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::{directory, witness};

/// Why a log does not say what has happened since a backup.
#[derive(Debug, thiserror::Error)]
pub enum OldLogError {
    /// It is not there, or not readable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A server has it open.
    #[error("a server is using it: stop that first, for what it still writes would be lost")]
    InUse,
    /// There is no database.
    #[error("there is no database in it")]
    None,
    /// The storage library cannot read it.
    #[error("its log cannot be read: {0}")]
    Unreadable(String),
    /// The node was being copied from another one.
    #[error("it holds a part of a copy of another node: use the log of that one")]
    Incomplete,
    /// The node is another one, or has another history.
    #[error("it is not the log of the node that the backup is of, nor of one that followed it")]
    Another,
    /// It ends before the backup does.
    #[error("its log ends with change {last}, before the backup, which ends with change {backup}")]
    Behind {
        /// Its last change.
        last: Position,
        /// The last change of the backup.
        backup: Position,
    },
    /// What came right after the backup is not there any more.
    #[error(
        "its log has a gap: it begins with change {oldest}, and the backup ends with change {backup}"
    )]
    Gap {
        /// Its oldest change.
        oldest: Position,
        /// The last change of the backup.
        backup: Position,
    },
}

impl From<StorageError> for OldLogError {
    fn from(error: StorageError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

impl From<rocksdb::Error> for OldLogError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Unreadable(error.into_string())
    }
}

/// See the module.
pub struct OldLog {
    db: DB,
    epochs: EpochHistory,
    acknowledged: Option<Position>,
    /// Shared, so that nobody begins to write meanwhile.
    _lock: Option<File>,
}

impl OldLog {
    /// Opens the log in the data directory `path`.
    pub fn open(path: &Path) -> Result<Self, OldLogError> {
        directory::format_of(path)?.ok_or(OldLogError::None)?;
        let lock = lock(&directory::lock_of(path))?;
        let mut options = options::database();
        options.create_if_missing(false);
        options.create_missing_column_families(false);
        // What is lost of the end is found out by the witness; what is there is wanted all the same.
        options.set_track_and_verify_wals_in_manifest(false);
        let database = directory::database_of(path);
        let families = [META, LOG].map(|name| (name, Options::default()));
        let db = DB::open_cf_with_opts_for_read_only(&options, database, families, false)?;
        let meta = db.cf_handle(META).ok_or(OldLogError::None)?;
        if db.get_cf(meta, COPYING)?.is_some() {
            return Err(OldLogError::Incomplete);
        }
        let epochs = db
            .get_cf(meta, EPOCH_HISTORY)?
            .ok_or(OldLogError::Another)?;
        let (epochs, _) = decode_epochs(&epochs)?;
        Ok(Self {
            db,
            epochs,
            acknowledged: witness::read_file(&directory::witness_of(path)),
            _lock: lock,
        })
    }

    /// The epochs that the node knew.
    pub fn epochs(&self) -> &EpochHistory {
        &self.epochs
    }

    /// Checks that the log goes on after `backup`, the last change of a backup of a node of this epoch history.
    pub fn must_reach(&self, backup: Position, of: &EpochHistory) -> Result<(), OldLogError> {
        // Epochs have random names, so that no stranger has one of them. The name of the cluster is each database's own.
        let is_same =
            |one: &EpochStart, other: &EpochStart| (one.epoch, one.id) == (other.epoch, other.id);
        let mut starts = self.epochs.starts().iter();
        let is_shared = starts.any(|start| of.starts().iter().any(|other| is_same(start, other)))
            && self.epochs.fork(of) >= backup.sequence
            && self.epochs.has(backup);
        if !is_shared {
            return Err(OldLogError::Another);
        }
        let last = self.last()?;
        if last.sequence < backup.sequence {
            return Err(OldLogError::Behind { last, backup });
        }
        match self.oldest()? {
            Some(oldest) if oldest.sequence > backup.sequence.next() => {
                Err(OldLogError::Gap { oldest, backup })
            }
            _ => Ok(()),
        }
    }

    /// The last change that was acknowledged, if the log has lost it.
    pub fn lost_after(&self) -> Option<Position> {
        let last = self.last().ok()?;
        self.acknowledged.filter(|noted| *noted > last)
    }

    /// The change at `position`, if the log holds it.
    pub fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, OldLogError> {
        Ok(self.db.get_cf(self.log()?, encode_position(position))?)
    }

    /// The changes after `after`, without a gap, of one epoch; none at the end.
    pub fn changes_after(
        &self,
        after: Position,
        limits: ReadLimits,
    ) -> Result<Vec<LoggedChange>, OldLogError> {
        let start = encode_position(after.next());
        let mode = IteratorMode::From(&start, Direction::Forward);
        let entries = self.db.iterator_cf(self.log()?, mode);
        let next = Some(after.sequence.next());
        let read = log::read(entries, next, Sequence(u64::MAX), limits)?;
        Ok(match read {
            LogRead::Changes(changes) => changes,
            LogRead::None | LogRead::Gone => Vec::new(),
        })
    }

    fn oldest(&self) -> Result<Option<Position>, OldLogError> {
        self.end(IteratorMode::Start)
    }

    fn last(&self) -> Result<Position, OldLogError> {
        Ok(self.end(IteratorMode::End)?.unwrap_or(Position::START))
    }

    fn end(&self, mode: IteratorMode<'_>) -> Result<Option<Position>, OldLogError> {
        let mut entries = self.db.iterator_cf(self.log()?, mode);
        let entry = entries.next().transpose()?;
        Ok(entry.map(|(key, _)| decode_position(&key)).transpose()?)
    }

    fn log(&self) -> Result<&rocksdb::ColumnFamily, OldLogError> {
        self.db.cf_handle(LOG).ok_or(OldLogError::None)
    }
}

/// A directory on a medium that cannot be written has nobody who writes to it, and perhaps no file to lock.
fn lock(path: &Path) -> Result<Option<File>, OldLogError> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(OldLogError::InUse),
        Err(TryLockError::Error(error)) => Err(OldLogError::Unreadable(error.to_string())),
    }
}
