//! Backups: everything that a node held at one position, as one stream of bytes, and the way back.
//!
//! Guarantees: a backup is what verifications saw at its position, no matter what was written meanwhile. A stream that was cut
//! off, or in which a bit was turned, is told from a whole one before anything of it is used. What was brought back takes no
//! commands before all that is to be in it is in it, and then begins an epoch of its own.
//!
//! No secret is in a backup, for none is in a database: keys are there by their ids.

mod format;
mod maker;
mod reader;
mod restore;

#[cfg(test)]
pub(crate) use format::frame as frame_of;
pub use maker::BackupMaker;
pub use reader::{BackupReader, Checked};
pub use restore::{RestoreError, Restored, Since, restore};

use talos_model::clock::UnixMillis;
use talos_model::{EpochHistory, Position};

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHead {
    /// When it was begun.
    pub time: UnixMillis,
    /// The last change that it contains.
    pub position: Position,
    /// The epochs that the node knew.
    pub epochs: EpochHistory,
    /// How many shards the node has.
    pub shards: u16,
    /// The release of the node, for people.
    pub release: String,
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupCounts {
    /// Keys.
    pub keys: u64,
    /// Idempotency keys of requests.
    pub requests: u64,
    /// Times of last use.
    pub uses: u64,
    /// Rows of any kind.
    pub rows: u64,
}

/// Why bytes are not a backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// They cannot be read; for the operator.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// They are something else.
    #[error("this is not a backup of Talos")]
    Foreign,
    /// A later release wrote them: use that release.
    #[error(
        "this backup has format {found}, and this release reads up to {supported}: use a newer release"
    )]
    Newer {
        /// The version found.
        found: u32,
        /// The newest that is read.
        supported: u32,
    },
    /// They end too early: take another backup.
    #[error("this backup is cut off: it ends after {after} bytes, in the midst of it")]
    CutOff {
        /// How many bytes there are.
        after: u64,
    },
    /// They are not what was written: take another backup.
    #[error("this backup is damaged: {what}, in the {at} bytes before")]
    Damaged {
        /// Up to which byte there is damage.
        at: u64,
        /// What does not fit.
        what: String,
    },
}
