//! The way back: a backup becomes a database, with what has happened since.
//!
//! Nothing is written before the backup was read to its end and the log was found to go on where the backup ends. The database is
//! a replica's until its last step, and is not opened as another one: whatever interrupts a restore leaves nothing that serves.

use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use talos_credentials::{Keyring, KeyringSettings, Prefixes, TokenSettings};
use talos_model::{CopyCursor, CopyName, CopyPlace, FollowError, Mode, Position, Secret};

use super::{BackupError, BackupHead, BackupReader, Checked};
use crate::engine::{Engine, Options};
use crate::error::OpenError;
use crate::last_used::LastUsedOptions;
use crate::limits::RESTORE_CHANGES_AT_ONCE;
use crate::storage::{OldLog, OldLogError, Retention};

const BLOCK_CACHE_BYTES: usize = 64 << 20;

/// What has happened since the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since<'a> {
    /// What the log in this data directory says.
    Log(&'a Path),
    /// Nothing is known of it: it is lost, revocations too.
    Unknown,
}

/// A database that was made of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub backup: Checked,
    /// How many changes since then were found and taken.
    pub changes: u64,
    /// The last change that the database holds. What comes next is of a new epoch.
    pub position: Position,
    /// The epoch that it has begun.
    pub epoch: u64,
    /// The last change that was acknowledged, where the log has lost its end.
    pub acknowledged: Option<Position>,
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// There is something where the database is to be.
    #[error("{} is not empty: name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// The directory cannot be looked at.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The log cannot be used.
    #[error("{}: {source}", path.display())]
    Log {
        /// The data directory.
        path: PathBuf,
        /// What is the matter with it.
        source: OldLogError,
    },
    /// The new database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new database does not take what it is given.
    #[error("the restored database did not take a part: {source}; remove {} and try again", path.display())]
    Refused {
        /// The new directory.
        path: PathBuf,
        /// Why.
        source: FollowError,
    },
}

/// Makes a database in the new or empty directory `to` of a backup. `progress` is called with the number of keys that are there.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore<R: Read + Seek>(
    mut backup: R,
    to: &Path,
    since: Since<'_>,
    mut progress: impl FnMut(u64),
) -> Result<Restored, RestoreError> {
    backup.rewind().map_err(BackupError::Io)?;
    let mut reader = BackupReader::open(&mut backup)?;
    while reader.next_rows()?.is_some() {}
    let last_change = reader.last_change().map(<[u8]>::to_vec);
    let checked = reader.checked();
    let head = &checked.head;
    let log = match since {
        Since::Log(path) => Some(Found::in_directory(path, head, last_change.as_deref())?),
        Since::Unknown => None,
    };
    must_be_empty(to)?;
    backup.rewind().map_err(BackupError::Io)?;
    let engine = Engine::open_as(options(to, head), Mode::Replica)?;
    let refused = |source| RestoreError::Refused {
        path: to.to_owned(),
        source,
    };
    let mut reader = BackupReader::open(&mut backup)?;
    install(&engine, &mut reader, refused, &mut progress)?;
    let mut changes = 0;
    if let Some(found) = &log {
        let known = found.log.epochs();
        if known.newest() >= checked.head.epochs.newest() {
            engine.adopt(known.clone()).map_err(refused)?;
        }
        changes = found.replay(&engine, refused)?;
    }
    // The last step: only now it may become what it is to be.
    engine.promote(None).map_err(refused)?;
    let restored = Restored {
        changes,
        position: engine.committed(),
        epoch: engine.standing().epochs.newest().0,
        acknowledged: log.and_then(|found| found.log.lost_after()),
        backup: checked,
    };
    engine.shutdown();
    Ok(restored)
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

/// A log that goes on where the backup ends.
struct Found<'a> {
    path: &'a Path,
    log: OldLog,
}

impl<'a> Found<'a> {
    fn in_directory(
        path: &'a Path,
        head: &BackupHead,
        last_change: Option<&[u8]>,
    ) -> Result<Self, RestoreError> {
        let log = OldLog::open(path).and_then(|log| {
            log.must_reach(head.position, &head.epochs)?;
            let logged = log.change_at(head.position)?;
            match (&logged, last_change) {
                // The change at which the backup ends is another one there.
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

fn must_be_empty(to: &Path) -> Result<(), RestoreError> {
    let failed = |source| RestoreError::Directory {
        path: to.to_owned(),
        source,
    };
    let entries = match fs::read_dir(to) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    for entry in entries {
        // A volume of its own has it.
        if entry.map_err(failed)?.file_name() != "lost+found" {
            return Err(RestoreError::NotEmpty(to.to_owned()));
        }
    }
    Ok(())
}

/// Nobody verifies anything here, so the keyring means nothing.
fn options(to: &Path, head: &BackupHead) -> Options {
    Options {
        path: to.to_owned(),
        shards: Some(head.shards),
        block_cache_bytes: BLOCK_CACHE_BYTES,
        cache_bytes: 0,
        cache_ttl_s: 0,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: 1,
        keyring: Keyring::new(KeyringSettings {
            hmac_current: Secret::new(String::new()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: String::new(),
                retired: Vec::new(),
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: String::new(),
            max_ttl_s: 0,
            clock_skew_s: 0,
            tokens: TokenSettings::default(),
        }),
        render: |_, _| Vec::new(),
        render_token: |_| Vec::new(),
    }
}
