//! The directory that a restore fills.
//!
//! A mark in it says that the restore has not finished. No server starts on a marked directory: it
//! would otherwise make an empty database there after a restore that failed, and refuse all keys.
//! The next restore into the directory removes what the last one left.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::storage::RESTORE_MARK;

/// For an operator who looks into the directory.
const MARK_TEXT: &[u8] = b"A restore into this directory has not finished. Run it again.\n";

/// Why a directory cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The directory holds something.
    #[error("{} is not empty: name a new directory", .0.display())]
    NotEmpty(PathBuf),
    /// Another restore fills the directory.
    #[error("another restore is filling {}", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// A marked directory without other content.
pub struct Target {
    root: PathBuf,
    /// Locked, so that no other restore takes this one for an interrupted one.
    _mark: File,
}

impl Target {
    /// Marks the new or empty directory `root`, durably. What an unfinished restore has left in it
    /// is removed.
    pub fn mark(root: &Path) -> Result<Self, TargetError> {
        let failed = |source| TargetError::Io {
            path: root.to_owned(),
            source,
        };
        let is_marked = fs::symlink_metadata(mark_of(root)).is_ok();
        if !is_marked && !is_empty(root).map_err(failed)? {
            return Err(TargetError::NotEmpty(root.to_owned()));
        }
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(root)
            .map_err(failed)?;
        let mut mark = File::options()
            .create(true)
            .append(true)
            .open(mark_of(root))
            .map_err(failed)?;
        match mark.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TargetError::InUse(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let ino = mark.metadata().map_err(failed)?.ino();
        if !fs::metadata(mark_of(root)).is_ok_and(|there| there.ino() == ino) {
            // Another restore has just finished and removed its mark.
            return Err(TargetError::NotEmpty(root.to_owned()));
        }
        if !is_marked {
            mark.write_all(MARK_TEXT).map_err(failed)?;
        }
        mark.sync_all().map_err(failed)?;
        let target = Self {
            root: root.to_owned(),
            _mark: mark,
        };
        target.clear().map_err(failed)?;
        sync(root).map_err(failed)?;
        Ok(target)
    }

    /// Removes everything but the mark.
    pub fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let path = entry.path();
            if is_expected(&entry.file_name()) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Removes the mark, durably: the restore has finished.
    pub fn unmark(self) -> Result<(), TargetError> {
        let removed = fs::remove_file(mark_of(&self.root)).and_then(|()| sync(&self.root));
        removed.map_err(|source| TargetError::Io {
            path: self.root,
            source,
        })
    }
}

fn mark_of(root: &Path) -> PathBuf {
    root.join(RESTORE_MARK)
}

fn is_empty(root: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        if !is_expected(&entry?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The mark; and the root of a file system has `lost+found`.
fn is_expected(name: &std::ffi::OsStr) -> bool {
    name == RESTORE_MARK || name == "lost+found"
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_outlives_its_restore_unless_that_finishes() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("new");
        let target = Target::mark(&root).unwrap();
        assert!(matches!(Target::mark(&root), Err(TargetError::InUse(_))));
        fs::create_dir(root.join("db")).unwrap();
        fs::write(root.join("db/file"), "half").unwrap();
        drop(target);
        assert!(mark_of(&root).exists());
        let target = Target::mark(&root).unwrap();
        assert!(!root.join("db").exists());
        fs::write(root.join("FORMAT"), "whole").unwrap();
        target.unmark().unwrap();
        assert!(!mark_of(&root).exists());
        assert!(matches!(Target::mark(&root), Err(TargetError::NotEmpty(_))));
        assert!(root.join("FORMAT").exists());
        assert!(!mark_of(&root).exists());
    }

    #[test]
    fn others_directories_are_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("file"), "x").unwrap();
        let marked = Target::mark(scratch.path());
        assert!(matches!(marked, Err(TargetError::NotEmpty(_))));
        let inside = Target::mark(&scratch.path().join("file/new"));
        assert!(matches!(inside, Err(TargetError::Io { .. })));
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1);
    }
}
