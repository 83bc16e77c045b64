//! Errors of storage.

/// Why an operation of storage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The storage library or the operating system failed; for the operator.
    #[error("{0}")]
    Io(String),
    /// The bytes on disk are not those that were written; for the operator.
    #[error("corrupt data: {0}")]
    Corrupt(&'static str),
    /// A newer release wrote this; use that release.
    #[error(
        "a record of version {found}; this release reads up to version {supported}: use a newer release"
    )]
    NewerRecord {
        /// The version found.
        found: u8,
        /// The newest version that this release reads.
        supported: u8,
    },
    /// A value cannot be encoded; a defect of this program.
    #[error("cannot encode: {0}")]
    Encode(String),
}

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        Self::Io(error.into_string())
    }
}
