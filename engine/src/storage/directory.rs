//! The data directory: its lock and its format.
//!
//! ```text
//! talos-data/
//!   FORMAT    "talos-database 1\n"; written before anything else, replaced only by rename
//!   db/       RocksDB
//!   witness   the last acknowledged position, see `witness.rs`
//!   RESTORE   there while a restore into the directory has not finished
//!   clock     the clock that an operator has accepted; not the engine's
//!   dev/      secrets of `talos serve --dev`; not the engine's
//! ```

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::OpenError;
use crate::storage::private;

/// The format that this release writes, and the newest one that it reads.
pub const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const DATABASE: &str = "db";
const WITNESS: &str = "witness";
const MAGIC: &str = "talos-database ";
/// Entries that may exist in a directory without a database. The development secrets are made
/// before the database.
const NOT_FOREIGN: [&str; 5] = [LOCK_FILE, ".FORMAT.new", "dev", "lost+found", RESTORE_MARK];
/// The file that marks a directory while a restore into it has not finished.
pub const RESTORE_MARK: &str = "RESTORE";

/// A data directory of a known format, locked against other processes while this value lives.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    _lock: File,
}

impl Directory {
    /// Locks the directory. Creates a missing one, takes an empty one, and otherwise checks that it
    /// holds a database of a known format. Then only the owner may enter it.
    pub fn claim(root: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory {
            path: root.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        // Names, actors and metadata of keys are private.
        builder
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(failed)?;
        // Check before writing: the directory may belong to another program.
        let format = read_format(root)?;
        let lock = File::create(root.join(LOCK_FILE)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    path: root.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        if format == Format::None {
            let content = format!("{MAGIC}{FORMAT}\n");
            write_durably(root, FORMAT_FILE, content.as_bytes()).map_err(failed)?;
        }
        private::tighten(root);
        Ok(Self {
            root: root.to_owned(),
            _lock: lock,
        })
    }

    /// The directory of RocksDB.
    pub fn database(&self) -> PathBuf {
        database_of(&self.root)
    }

    /// The directory in which RocksDB is created before it is renamed to its final name.
    pub fn unfinished_database(&self) -> PathBuf {
        self.root.join("db.new")
    }

    /// The witness file.
    pub fn witness(&self) -> PathBuf {
        witness_of(&self.root)
    }
}

/// The directory of RocksDB below the data directory `root`.
pub fn database_of(root: &Path) -> PathBuf {
    root.join(DATABASE)
}

/// The witness file below the data directory `root`.
pub fn witness_of(root: &Path) -> PathBuf {
    root.join(WITNESS)
}

/// The file below `root` that is locked by the process that has the database open.
pub fn lock_of(root: &Path) -> PathBuf {
    root.join(LOCK_FILE)
}

/// Refuses a data directory in which a restore has not finished: it holds no database, or only a
/// part of one.
pub fn refuse_unfinished_restore(root: &Path) -> Result<(), OpenError> {
    // Anything but "there is none" counts as a mark: an unreadable one must not be passed over.
    match fs::symlink_metadata(root.join(RESTORE_MARK)) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(())
        }
        _ => Err(OpenError::UnfinishedRestore {
            path: root.to_owned(),
        }),
    }
}

/// The format of the database below `root`; `None` when there is no complete one. Writes and locks
/// nothing.
pub fn format_of(root: &Path) -> Result<Option<u32>, OpenError> {
    match fs::metadata(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // `read_format` reports other errors.
        _ => {}
    }
    refuse_unfinished_restore(root)?;
    let is_known = read_format(root)? == Format::Known;
    Ok((is_known && root.join(DATABASE).exists()).then_some(FORMAT))
}

/// What a directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A database of a format that this release reads.
    Known,
    /// No database, and nothing foreign.
    None,
}

fn read_format(root: &Path) -> Result<Format, OpenError> {
    let failed = |source| OpenError::Directory {
        path: root.to_owned(),
        source,
    };
    let foreign = || OpenError::Foreign {
        path: root.to_owned(),
    };
    match fs::read_to_string(root.join(FORMAT_FILE)) {
        Ok(text) => check_format(root, &text).map(|()| Format::Known),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            for entry in fs::read_dir(root).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                if !NOT_FOREIGN.iter().any(|known| name == *known) {
                    return Err(foreign());
                }
            }
            Ok(Format::None)
        }
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(foreign()),
        Err(error) => Err(failed(error)),
    }
}

fn check_format(root: &Path, text: &str) -> Result<(), OpenError> {
    let found = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.trim_end().parse::<u32>().ok());
    match found {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat {
            path: root.to_owned(),
            found,
            supported: FORMAT,
        }),
        _ => Err(OpenError::Foreign {
            path: root.to_owned(),
        }),
    }
}

fn temporary_name(name: &str) -> String {
    format!(".{name}.new")
}

/// Replaces a file atomically: after a power cut it has either the old content or the new one.
fn write_durably(directory: &Path, name: &str, content: &[u8]) -> std::io::Result<()> {
    let temporary = directory.join(temporary_name(name));
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(prepare: impl Fn(&Path)) -> Result<Directory, OpenError> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("data");
        fs::create_dir(&root).unwrap();
        prepare(&root);
        let first = Directory::claim(&root)?;
        assert!(matches!(
            Directory::claim(&root),
            Err(OpenError::InUse { .. })
        ));
        drop(first);
        Directory::claim(&root)
    }

    #[test]
    fn empty_and_development_directories_are_claimed() {
        assert!(claim(|_| ()).is_ok());
        assert!(claim(|root| fs::create_dir(root.join("dev")).unwrap()).is_ok());
        assert!(claim(|root| fs::write(root.join(".FORMAT.new"), "talos-dat").unwrap()).is_ok());
    }

    #[test]
    fn others_directories_are_left_alone() {
        let foreign = |result| matches!(result, Err(OpenError::Foreign { .. }));
        assert!(foreign(claim(
            |root| fs::write(root.join("CURRENT"), "x").unwrap()
        )));
        assert!(foreign(claim(|root| fs::write(
            root.join("FORMAT"),
            "JPEG"
        )
        .unwrap())));
        assert!(foreign(claim(|root| fs::write(
            root.join("FORMAT"),
            [0xff, 0xfe]
        )
        .unwrap())));
        let newer = claim(|root| fs::write(root.join("FORMAT"), "talos-database 2\n").unwrap());
        assert!(matches!(
            newer,
            Err(OpenError::NewerFormat {
                found: 2,
                supported: FORMAT,
                ..
            })
        ));
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("file"), "").unwrap();
        let inside = Directory::claim(&scratch.path().join("file/data"));
        assert!(matches!(inside, Err(OpenError::Directory { .. })));
    }
}
