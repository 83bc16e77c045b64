//! What can go wrong with storage.

/// Why storage did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The storage library or the system refused; for the operator.
    #[error("{0}")]
    Io(String),
    /// What is on disk is not what was written; for the operator.
    #[error("corrupt data: {0}")]
    Corrupt(&'static str),
    /// A later release wrote it; use that release.
    #[error(
        "a record of version {found}; this release reads up to version {supported}: use a newer release"
    )]
    NewerRecord {
        /// The version found.
        found: u8,
        /// The newest that this release reads.
        supported: u8,
    },
    /// A record that cannot be written; a defect of this program.
    #[error("cannot encode: {0}")]
    Encode(String),
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Io(error.into_string())
    }
}
