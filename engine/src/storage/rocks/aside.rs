//! A copy of the whole database beside it, made of links to its files: for what would otherwise be lost.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::store::RocksStore;
use crate::storage::directory::Directory;
use crate::storage::error::StorageError;

impl RocksStore {
    /// Keeps everything that is there now in a data directory of its own, which must not exist yet and has to be on the same
    /// file system. It can be opened like any other.
    pub fn keep_aside(&self, to: &Path) -> Result<(), StorageError> {
        if to.exists() {
            return Err(StorageError::Io(format!(
                "{} exists already; move it away",
                to.display()
            )));
        }
        let directory =
            Directory::claim(to).map_err(|error| StorageError::Io(error.to_string()))?;
        Checkpoint::new(&self.db)?.create_checkpoint(directory.database())?;
        Ok(())
    }
}
