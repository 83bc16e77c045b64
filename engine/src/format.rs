//! The format of a database on disk, for administration commands.

use std::path::Path;

use crate::error::OpenError;
use crate::storage::{self, Wanted};

/// The format that this release reads and writes.
pub const PRESENT: u32 = storage::FORMAT;

/// The format of the database in `path`; `None` when there is no complete one yet. Opens, locks and
/// writes nothing, so a server may be using the database.
///
/// # Errors
/// When the directory holds something else or a newer format, or cannot be read.
pub fn of(path: &Path) -> Result<Option<u32>, OpenError> {
    storage::format_of(path)
}

/// Opens the database in `path` or creates one, checks it as a starting server does, and closes it.
/// For `shards` see [`crate::Options`].
///
/// # Errors
/// As for [`crate::Engine::open`].
pub fn prepare(
    path: &Path,
    shards: Option<u16>,
    block_cache_bytes: usize,
) -> Result<(), OpenError> {
    storage::refuse_unfinished_restore(path)?;
    storage::open(path, Wanted::new(shards, block_cache_bytes)).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_database_has_a_format_once_it_is_whole() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        assert!(matches!(of(&path), Ok(None)));
        assert!(!path.exists(), "looking makes nothing");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("FORMAT"), "talos-database 1\n").unwrap();
        assert!(matches!(of(&path), Ok(None)), "made halfway");
        for _ in 0..2 {
            prepare(&path, Some(2), 1 << 20).unwrap();
            assert!(matches!(of(&path), Ok(Some(PRESENT))));
        }
        fs::write(path.join("FORMAT"), "talos-database 99\n").unwrap();
        assert!(matches!(
            of(&path),
            Err(OpenError::NewerFormat { found: 99, .. })
        ));
        assert!(prepare(&path, None, 1 << 20).is_err());
        fs::write(path.join("FORMAT"), "JPEG").unwrap();
        assert!(matches!(of(&path), Err(OpenError::Foreign { .. })));
    }

    #[test]
    fn looking_needs_no_lock_and_opening_does() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        let opened = storage::open(&path, Wanted::new(Some(1), 1 << 20)).unwrap();
        assert!(matches!(of(&path), Ok(Some(PRESENT))));
        assert!(matches!(
            prepare(&path, None, 1 << 20),
            Err(OpenError::InUse { .. })
        ));
        drop(opened);
        prepare(&path, None, 1 << 20).unwrap();
    }
}
