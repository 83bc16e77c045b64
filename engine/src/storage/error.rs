//! Errors of storage.

use std::io::{self, ErrorKind};

/// Why an operation of storage failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The storage library or the operating system failed; for the operator.
    #[error("{0}")]
    Io(String),
    /// The disk is full, or this user may write no more to it; for the operator.
    #[error("{0}")]
    Full(String),
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

/// What RocksDB's messages say when the disk is full, or a quota of the file system is used up. Its
/// interface for C has only the messages.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

impl From<rocksdb::Error> for StorageError {
    fn from(error: rocksdb::Error) -> Self {
        let is_io = error.kind() == rocksdb::ErrorKind::IOError;
        let message = error.into_string();
        if is_io && FULL.iter().any(|full| message.contains(full)) {
            Self::Full(message)
        } else {
            Self::Io(message)
        }
    }
}

impl From<io::Error> for StorageError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full(error.to_string()),
            _ => Self::Io(error.to_string()),
        }
    }
}
