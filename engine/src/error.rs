//! Errors of opening a database.

use std::path::PathBuf;

/// Why a database could not be opened. Every variant is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be created, read or written.
    #[error("data directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The directory is not empty and holds no database.
    #[error(
        "data directory {path} is not empty and holds no Talos database; choose another directory"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// A restore into the directory failed, was interrupted, or is still running.
    #[error(
        "a restore into data directory {path} has not finished, so its keys are missing; run talos backup restore again with the same --to, or remove the directory to begin without them"
    )]
    UnfinishedRestore {
        /// The directory.
        path: PathBuf,
    },
    /// Another process is using the directory.
    #[error("data directory {path} is in use by another process")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A newer release wrote the database.
    #[error(
        "data directory {path} has format {found}, this release reads up to {supported}; use a newer release"
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this release reads.
        supported: u32,
    },
    /// The number of shards is fixed when a database is created.
    #[error(
        "the database has {stored} shards, db.shards asks for {asked}; the count is fixed at creation: leave db.shards unset or use {stored}"
    )]
    Shards {
        /// The number of the database.
        stored: u16,
        /// The number in the configuration.
        asked: u16,
    },
    /// Acknowledged changes are missing or incomplete.
    #[error(
        "data directory {path} is damaged: {what}; restore a backup, or copy from another node"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The database is a replica's. It must be promoted before the node can write.
    #[error(
        "data directory {path} is a replica's, of epoch {epoch}; start it as a replica, or promote it"
    )]
    Replica {
        /// The directory.
        path: PathBuf,
        /// The newest epoch in its history.
        epoch: u64,
    },
    /// The storage library failed.
    #[error("data directory {path}: {message}")]
    Storage {
        /// The directory.
        path: PathBuf,
        /// Its error.
        message: String,
    },
}
