//! Restore: makes a database from a backup and the changes since.
//!
//! The directory is marked first, and no server starts on a marked one. No row is written before
//! the whole backup was checked and the log is known to continue from it. The database is a replica
//! until the last step, and a replica's database does not open as a primary. The checksums of a
//! backup show only that it is what was written, so the restored database is opened as a server
//! would open it. Only then is the mark removed. A failed restore leaves nothing but the mark.

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use talos_model::{CopyCursor, CopyName, CopyPlace, EpochHistory, FollowError, Mode, Position};

use super::target::{Target, TargetError};
use super::{BackupError, BackupHead, BackupReader, Checked};
use crate::engine::{Engine, Options};
use crate::error::OpenError;
use crate::last_used::LastUsedOptions;
use crate::limits::RESTORE_CHANGES_AT_ONCE;
use crate::storage::{OldLog, OldLogError, Retention};

const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// Where the changes since the backup come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since<'a> {
    /// The log in this data directory.
    Log(&'a Path),
    /// Nowhere: all changes since the backup are lost, revocations included.
    Unknown,
}

/// A restored database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: Checked,
    /// How many changes of the log were applied.
    pub changes: u64,
    /// The last change in the database. The next one will be in a new epoch.
    pub position: Position,
    /// The new epoch.
    pub epoch: u64,
    /// The last acknowledged change, if the log has lost its end.
    pub acknowledged: Option<Position>,
}

/// Why a restore failed.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The target directory cannot be filled.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The log cannot be used.
    #[error("{}: {source}", path.display())]
    Log {
        /// The data directory.
        path: PathBuf,
        /// Why.
        source: OldLogError,
    },
    /// The new database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new database rejected a part of the backup or a change.
    #[error("the restored database rejected a part: {source}; nothing is left of it in {}", path.display())]
    Refused {
        /// The new directory.
        path: PathBuf,
        /// Why.
        source: FollowError,
    },
    /// A server could not use the restored database: the backup is not what a server wrote.
    #[error(
        "the restored database is not usable: {what}; nothing is left of it. Use another backup"
    )]
    Unusable {
        /// What is wrong.
        what: String,
    },
}

/// Restores `backup` into the new or empty directory `to`. Calls `progress` with the number of keys
/// restored so far.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore<R: Read + Seek>(
    mut backup: R,
    to: &Path,
    since: Since<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    let target = Target::mark(to)?;
    let restored = fill_marked(&mut backup, to, since, &mut progress);
    match &restored {
        // The directory is complete, or belongs to another process that works there.
        Ok(_) | Err(RestoreError::Open(OpenError::InUse { .. })) => target.unmark()?,
        // What cannot be removed stays. The mark keeps servers away from it.
        Err(_) => drop(target.clear()),
    }
    restored
}

fn fill_marked<R: Read + Seek>(
    mut backup: R,
    to: &Path,
    since: Since<'_>,
    progress: &mut impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    backup.rewind().map_err(BackupError::Io)?;
    let mut reader = BackupReader::open(&mut backup)?;
    while reader.next_rows()?.is_some() {}
    let last_change = reader.last_change().map(<[u8]>::to_vec);
    let checked = reader.checked();
    let head = &checked.head;
    let log = match since {
        Since::Log(path) => Some(ContinuingLog::in_directory(
            path,
            head,
            last_change.as_deref(),
        )?),
        Since::Unknown => None,
    };
    backup.rewind().map_err(BackupError::Io)?;
    let restored = build(&mut backup, to, &checked, log, progress)?;
    check_opens(to, &restored)?;
    Ok(restored)
}

/// Makes the database.
fn build<R: Read>(
    backup: &mut R,
    to: &Path,
    checked: &Checked,
    log: Option<ContinuingLog<'_>>,
    progress: &mut impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    let engine = Engine::open_restored(options(to, &checked.head), Mode::Replica)?;
    let filled = fill(&engine, backup, to, checked, log, progress);
    engine.shutdown();
    filled
}

fn fill<R: Read>(
    engine: &Engine,
    backup: &mut R,
    to: &Path,
    checked: &Checked,
    log: Option<ContinuingLog<'_>>,
    progress: &mut impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    let refused = |source| RestoreError::Refused {
        path: to.to_owned(),
        source,
    };
    let mut reader = BackupReader::open(backup)?;
    install(engine, &mut reader, refused, progress)?;
    let mut changes = 0;
    if let Some(continuing) = &log {
        let known = continuing.log.epochs();
        if known.newest() >= checked.head.epochs.newest() {
            engine.adopt(known.clone()).map_err(refused)?;
        }
        changes = continuing.replay(engine, refused)?;
    }
    // The last step: only a complete database may become a primary.
    engine.promote(None).map_err(refused)?;
    Ok(Restored {
        changes,
        position: engine.committed(),
        epoch: engine.standing().epochs.newest().0,
        acknowledged: log.and_then(|continuing| continuing.log.lost_acknowledged()),
        backup: checked.clone(),
    })
}

/// Whether a log that ends with `committed` holds the change at `position`. It may hold later ones:
/// a primary carries out the bulk revocations in force as soon as it is promoted.
fn reaches(epochs: &EpochHistory, committed: Position, position: Position) -> bool {
    committed.sequence >= position.sequence && epochs.has(position)
}

/// Opens the database as a server does, with all checks of an opening.
fn check_opens(to: &Path, restored: &Restored) -> Result<(), RestoreError> {
    let unusable = |what| RestoreError::Unusable { what };
    let engine = Engine::open_restored(options(to, &restored.backup.head), Mode::Primary)
        .map_err(|error| unusable(error.to_string()))?;
    let (committed, epochs) = (engine.committed(), engine.standing().epochs);
    engine.shutdown();
    if reaches(&epochs, committed, restored.position) {
        Ok(())
    } else {
        Err(unusable(format!(
            "it ends with change {committed}, before change {} or beside it",
            restored.position
        )))
    }
}

fn install<R: Read>(
    engine: &Engine,
    reader: &mut BackupReader<R>,
    refused: impl Fn(FollowError) -> RestoreError,
    progress: &mut impl FnMut(u64),
) -> Result<(), RestoreError> {
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| refused(FollowError::Storage(error.to_string())))?;
    let place = CopyPlace {
        name: CopyName(name),
        position: reader.head().position,
        digest: None,
        cursor: CopyCursor::default(),
    };
    let (head, name) = (reader.head(), place.name);
    let begun = engine.begin_copy(head.cluster, head.epochs.clone(), place);
    begun.map_err(&refused)?;
    while let Some(chunk) = reader.next_rows()? {
        engine.install(name, chunk).map_err(&refused)?;
        progress(reader.counts().keys);
    }
    Ok(())
}

/// A log that continues from the end of the backup.
struct ContinuingLog<'a> {
    path: &'a Path,
    log: OldLog,
}

impl<'a> ContinuingLog<'a> {
    fn in_directory(
        path: &'a Path,
        head: &BackupHead,
        last_change: Option<&[u8]>,
    ) -> Result<Self, RestoreError> {
        let log = OldLog::open(path).and_then(|log| {
            log.check_continues(head.position, &head.epochs)?;
            let logged = log.change_at(head.position)?;
            match (&logged, last_change) {
                // The log has a different change at the backup's last position.
                (Some(logged), Some(last)) if logged != last => Err(OldLogError::Another),
                _ => Ok(log),
            }
        });
        Ok(Self {
            log: log.map_err(|source| RestoreError::Log {
                path: path.to_owned(),
                source,
            })?,
            path,
        })
    }

    fn replay(
        &self,
        engine: &Engine,
        refused: impl Fn(FollowError) -> RestoreError,
    ) -> Result<u64, RestoreError> {
        let mut count = 0;
        loop {
            let after = engine.committed();
            let changes = self
                .log
                .changes_after(after, RESTORE_CHANGES_AT_ONCE)
                .map_err(|source| RestoreError::Log {
                    path: self.path.to_owned(),
                    source,
                })?;
            if changes.is_empty() {
                return Ok(count);
            }
            count += changes.len() as u64;
            engine.apply(changes).map_err(&refused)?;
        }
    }
}

/// Options for the restore. There is no tenant, because nothing is verified.
fn options(to: &Path, head: &BackupHead) -> Options {
    Options {
        path: to.to_owned(),
        shards: Some(head.shards),
        block_cache_bytes: BLOCK_CACHE_BYTES,
        write_buffer_bytes: 128 << 20,
        table_memory: crate::TableMemory::Beside,
        cache_bytes: 0,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: 1,
        tenants: Vec::new(),
        render: |_, _| Vec::new(),
        render_token: |_| Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{Epoch, EpochId, Sequence};

    use super::*;

    #[test]
    fn a_restored_log_may_have_grown_but_not_shrunk() {
        let at = |epoch, sequence| Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        };
        let epochs = EpochHistory::first(EpochId([1; 16]))
            .promoted(Epoch(2), EpochId([2; 16]), Sequence(3))
            .unwrap();
        for (committed, reached) in [
            (at(1, 3), true),
            (at(2, 5), true),
            (at(1, 2), false),
            (at(1, 0), false),
        ] {
            assert_eq!(
                reaches(&epochs, committed, at(1, 3)),
                reached,
                "{committed}"
            );
        }
        // Change 4 belongs to epoch 2.
        assert!(!reaches(&epochs, at(2, 5), at(1, 4)));
    }
}
