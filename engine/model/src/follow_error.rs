//! Why a node refuses changes from another node.

use crate::epoch_history::EpochHistoryError;
use crate::ids::{Epoch, Sequence};

/// Why a node refuses what another node sends. None of these errors changes what the node holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The node is a primary: it executes commands and follows no node.
    #[error("this node is a primary")]
    Primary,
    /// The node is a replica, and only a primary can step down.
    #[error("this node is a replica")]
    Replica,
    /// Changes are missing in between. Request them from the last one held, or copy the node.
    #[error("change {} was expected, not change {}", expected.0, found.0)]
    Gap {
        /// The next sequence.
        expected: Sequence,
        /// The one that was sent.
        found: Sequence,
    },
    /// A newer primary has replaced the sender, which must become a replica.
    #[error("epoch {} is older than epoch {}, which is known here", found.0, known.0)]
    OlderEpoch {
        /// The epoch that the change should have, or the newest one.
        known: Epoch,
        /// The one that was sent.
        found: Epoch,
    },
    /// The epoch of the change is unknown. Adopt the sender's epoch history before its changes.
    #[error("epoch {} is not known here", found.0)]
    UnknownEpoch {
        /// The epoch of the change.
        found: Epoch,
    },
    /// The nodes hold different changes with the same sequence. One of them must be copied anew.
    #[error("this node has a different change {}", at.0)]
    Diverged {
        /// The first sequence that is known to differ.
        at: Sequence,
    },
    /// The data cannot be decoded or contradicts itself: a defect, or damage in transit.
    #[error("unreadable: {0}")]
    Malformed(String),
    /// A copy to this node has begun and is not complete.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// No copy of this name is in progress.
    #[error("no such copy is under way")]
    NoCopy,
    /// The epoch history is invalid, or the epoch is not newer.
    #[error(transparent)]
    EpochHistory(#[from] EpochHistoryError),
    /// Storage could not be read. Nothing was changed.
    #[error("storage: {0}")]
    Storage(String),
    /// An earlier write failed, so the node accepts no more writes. An operator must check the disk
    /// and restart the node.
    #[error("writes are stopped: {0}")]
    Latched(String),
    /// The write queue is full. Try again in a moment.
    #[error("the write queue is full")]
    Busy,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopping,
}
