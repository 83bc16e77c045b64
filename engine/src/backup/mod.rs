//! Backup and restore. A backup is a stream of bytes with everything that a node held at one
//! position.
//!
//! Guarantees:
//! - A backup has the state that verifications saw at its position. Later writes do not change it.
//! - A truncated or damaged stream is detected before any of it is used.
//! - A restored database accepts no commands before it is complete. Then it begins a new epoch.
//!
//! A backup contains no secrets, because the database contains none: it identifies keys by their
//! ids.

mod format;
mod maker;
mod reader;
mod restore;
mod target;

#[cfg(test)]
pub(crate) use format::{Body, decode, encode, frame as frame_of};
pub use maker::BackupMaker;
pub use reader::{BackupReader, Checked};
pub use restore::{RestoreError, Restored, Since, restore};
pub use target::TargetError;

use talos_model::clock::UnixMillis;
use talos_model::{EpochHistory, Position};

/// Description of a backup, at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHead {
    /// When the backup was begun.
    pub time: UnixMillis,
    /// The last change in the backup.
    pub position: Position,
    /// The cluster of the node.
    pub cluster: [u8; 16],
    /// The epochs that the node knew.
    pub epochs: EpochHistory,
    /// How many shards the node has.
    pub shards: u16,
    /// The release of the node, for display.
    pub release: String,
}

/// Why a backup cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The bytes cannot be read; for the operator.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The bytes are not a backup.
    #[error("this is not a backup of Talos")]
    Foreign,
    /// A newer release wrote the backup: use that release.
    #[error(
        "this backup has format {found}, and this release reads up to {supported}: use a newer release"
    )]
    Newer {
        /// The version found.
        found: u32,
        /// The newest version that this release reads.
        supported: u32,
    },
    /// The backup is truncated: take another one.
    #[error("this backup is cut off: it ends after {after} bytes, in the midst of it")]
    CutOff {
        /// How many bytes there are.
        after: u64,
    },
    /// The bytes are not those that were written: take another backup.
    #[error("this backup is damaged: {what}, in the {at} bytes before")]
    Damaged {
        /// The damage is before this byte.
        at: u64,
        /// What is wrong.
        what: String,
    },
}
