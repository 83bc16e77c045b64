//! Why a node takes no changes from another.

use crate::epoch_history::EpochHistoryError;
use crate::ids::{Epoch, Sequence};

/// Why a node does not take what another one sends. After any of these, what it holds is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// It takes commands instead; for the operator.
    #[error("this node is a primary")]
    Primary,
    /// It follows already, and only a primary can step down; for the operator.
    #[error("this node is a replica")]
    Replica,
    /// Changes are missing in between: ask again from the last one, or copy.
    #[error("change {} was expected, not change {}", expected.0, found.0)]
    Gap {
        /// The next one.
        expected: Sequence,
        /// The one that came.
        found: Sequence,
    },
    /// The sender was replaced: it must follow itself.
    #[error("epoch {} belongs to the past: epoch {} is known here", found.0, known.0)]
    OlderEpoch {
        /// The epoch that the change would have to be of, or the newest one.
        known: Epoch,
        /// The one that came.
        found: Epoch,
    },
    /// An epoch must be known durably before its first change comes: adopt its epoch history first.
    #[error("epoch {} is not known here", found.0)]
    UnknownEpoch {
        /// The epoch of the change.
        found: Epoch,
    },
    /// The nodes hold different changes of the same sequence: one of them has to be copied anew.
    #[error("change {} is another one here", at.0)]
    Diverged {
        /// The first sequence that is known to differ.
        at: Sequence,
    },
    /// What came cannot be read, or does not fit together; a defect, or damage on the way.
    #[error("unreadable: {0}")]
    Malformed(String),
    /// A copy has begun and is not complete.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// No copy of this name is under way.
    #[error("no such copy is under way")]
    NoCopy,
    /// The epoch history does not allow it.
    #[error(transparent)]
    EpochHistory(#[from] EpochHistoryError),
    /// Storage could not be read; nothing was changed.
    #[error("storage: {0}")]
    Storage(String),
    /// An earlier write failed; an operator must look at the disk and restart.
    #[error("writes are stopped: {0}")]
    Latched(String),
    /// Too much waits to be written; try again in a moment.
    #[error("the write queue is full")]
    Busy,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopping,
}
