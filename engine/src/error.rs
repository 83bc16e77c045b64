//! What can go wrong with storage, and who must act.

use std::path::PathBuf;

/// Why a database did not open. Every variant is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error("data directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory holds something else.
    #[error(
        "data directory {path} is not empty and holds no Talos database; choose another directory"
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error("data directory {path} is in use by another process")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "data directory {path} has format {found}, this release reads up to {supported}; use a newer release"
    )]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this build reads.
        supported: u32,
    },
    /// The number of shards is fixed when a database is created.
    #[error(
        "the database has {stored} shards, db.shards asks for {asked}; the count is fixed at creation: leave db.shards unset or use {stored}"
    )]
    Shards {
        /// What the database has.
        stored: u16,
        /// What the configuration says.
        asked: u16,
    },
    /// Acknowledged changes are missing or half there.
    #[error(
        "data directory {path} is damaged: {what}; restore a backup, or copy from another node"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Another node gave the last changes their sequences; this one must be promoted before it does.
    #[error(
        "data directory {path} is a replica's, of epoch {epoch}; start it as a replica, or promote it"
    )]
    Replica {
        /// The directory.
        path: PathBuf,
        /// The newest epoch that it knows.
        epoch: u64,
    },
    /// The storage library refused.
    #[error("data directory {path}: {message}")]
    Storage {
        /// The directory.
        path: PathBuf,
        /// What it said.
        message: String,
    },
}
