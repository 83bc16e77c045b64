//! A copy of the whole database, made of hard links to its files, before its content is discarded.

use std::path::Path;

use rocksdb::checkpoint::Checkpoint;

use super::store::RocksStore;
use crate::storage::directory::Directory;
use crate::storage::error::StorageError;

impl RocksStore {
    /// Makes a data directory `to` with the database as it is now. `to` must not exist and must be
    /// on the same file system. It can be opened like any other data directory.
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
