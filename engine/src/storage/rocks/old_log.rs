//! Reads the change log of a node that no longer runs, for a restore.
//!
//! Nothing in its directory is changed. If the log has lost acknowledged changes at its end,
//! [`OldLog::lost_acknowledged`] reports it. A gap before the end is an error.

use std::fs::{File, TryLockError};
use std::path::Path;

use rocksdb::{
    ColumnFamilyDescriptor, DB, Direction, ErrorKind, InfoLogger, IteratorMode, LogLevel, Options,
};
use talos_model::{
    EpochHistory, EpochStart, LogRead, LoggedChange, NodeState, Position, ReadLimits, Sequence,
};

use super::families::{LOG, META};
use super::{log, options};
use crate::error::OpenError;
use crate::storage::error::StorageError;
use crate::storage::format::membership::{COPYING, EPOCH_HISTORY, decode_epochs};
use crate::storage::format::position::{decode_position, encode_position};
use crate::storage::{directory, witness};

/// Why a log cannot give the changes since a backup.
#[derive(Debug, thiserror::Error)]
pub enum OldLogError {
    /// The data directory is missing or unreadable.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A server is using the data directory.
    #[error("a server is using it: stop the server first, or its further writes would be lost")]
    InUse,
    /// The data directory holds no database.
    #[error("there is no database in it")]
    None,
    /// The storage library cannot read the log.
    #[error("its log cannot be read: {0}")]
    Unreadable(String),
    /// The node had not finished its copy of another node.
    #[error("it holds an incomplete copy of another node: use the log of that node")]
    Incomplete,
    /// The log belongs to another cluster, or to another epoch history.
    #[error("it is not the log of the node that made the backup, nor of a node that replicated it")]
    Another,
    /// The log ends before the backup.
    #[error("its log ends with change {last}, before the backup, which ends with change {backup}")]
    Behind {
        /// The last change in the log.
        last: Position,
        /// The last change of the backup.
        backup: Position,
    },
    /// The changes right after the backup are missing.
    #[error(
        "its log has a gap: it begins with change {oldest}, and the backup ends with change {backup}"
    )]
    Gap {
        /// The oldest change in the log.
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

/// The change log in a data directory, opened for reading only.
pub struct OldLog {
    db: DB,
    epochs: EpochHistory,
    acknowledged: Option<Position>,
    /// A shared lock, so that no server starts to write in the meantime.
    _lock: Option<File>,
}

impl OldLog {
    /// Opens the log in the data directory `path`.
    pub fn open(path: &Path) -> Result<Self, OldLogError> {
        directory::format_of(path)?.ok_or(OldLogError::None)?;
        let lock = lock(&directory::lock_of(path))?;
        let db = open_database(&directory::database_of(path))?;
        let meta = db.cf_handle(META).ok_or(OldLogError::None)?;
        if db.get_cf(meta, COPYING)?.is_some() {
            return Err(OldLogError::Incomplete);
        }
        let epochs = db
            .get_cf(meta, EPOCH_HISTORY)?
            .ok_or(OldLogError::Another)?;
        let NodeState { epochs, .. } = decode_epochs(&epochs)?;
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

    /// Checks that the log continues from `backup`, the last change of a backup whose node had this
    /// epoch history.
    pub fn check_continues(
        &self,
        backup: Position,
        history: &EpochHistory,
    ) -> Result<(), OldLogError> {
        // Compare the random names of epochs: no other cluster has one of them. The cluster's name
        // does not help, because each database has its own.
        let is_same =
            |one: &EpochStart, other: &EpochStart| (one.epoch, one.id) == (other.epoch, other.id);
        let mut starts = self.epochs.starts().iter();
        let is_shared = starts
            .any(|start| history.starts().iter().any(|other| is_same(start, other)))
            && self.epochs.fork(history) >= backup.sequence
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

    /// The last acknowledged change, if the log has lost it.
    pub fn lost_acknowledged(&self) -> Option<Position> {
        let last = self.last().ok()?;
        self.acknowledged
            .filter(|acknowledged| *acknowledged > last)
    }

    /// The bytes of the change at `position`, if the log holds it.
    pub fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, OldLogError> {
        Ok(self.db.get_cf(self.log()?, encode_position(position))?)
    }

    /// The changes after `after`, without a gap, of one epoch; empty at the end of the log.
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

/// Opens the database for reading only. Reads what is left even if the end of the log is lost; the
/// witness shows whether it is.
fn open_database(database: &Path) -> Result<DB, OldLogError> {
    let mut options = options::reading();
    let families = || [META, LOG].map(|name| (name, Options::default()));
    // The tracking of write-ahead logs stays on. Without it, RocksDB 11 removes the tracked ones
    // from its manifest when it opens, and crashes because a read-only database has no way to do
    // so.
    match DB::open_cf_with_opts_for_read_only(&options, database, families(), false) {
        // A tracked write-ahead log is missing or too short.
        Err(error) if error.kind() == ErrorKind::Corruption => {}
        opened => return Ok(opened?),
    }
    // A secondary reads the write-ahead logs that there are. Its second path would hold the info
    // log only, and with a logger of its own it is never created.
    options.set_info_logger(InfoLogger::new_callback_logger(
        LogLevel::Warn,
        |_, message| tracing::debug!(message, "the old log"),
    ));
    let families = families().map(|(name, options)| ColumnFamilyDescriptor::new(name, options));
    Ok(DB::open_cf_descriptors_as_secondary(
        &options, database, database, families,
    )?)
}

/// `None` when there is no lock file: on a read-only medium there may be none, and no server writes
/// there.
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
