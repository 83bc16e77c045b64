//! What the committing thread is asked to do for the node as one of several.

use talos_model::{
    CopyChunk, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, FollowError, LoggedChange,
    Position,
};

/// See the module. Each is one write.
pub enum ReplicationCommand {
    /// Take these changes of the primary.
    Apply(Vec<LoggedChange>),
    /// Take over the epochs of the primary.
    Adopt(EpochHistory),
    /// Become the primary, of this epoch or the next one.
    Promote(Option<Epoch>, EpochId),
    /// Become a replica.
    StepDown,
    /// Throw everything away for a copy that begins.
    BeginCopy {
        /// The cluster of the sender.
        cluster: [u8; 16],
        epochs: EpochHistory,
        place: CopyPlace,
    },
    /// Add rows to the copy of this name.
    Install(CopyName, CopyChunk),
}

/// Called exactly once, with the last change that the node then holds.
pub type ReplicationDone = Box<dyn FnOnce(Result<Position, FollowError>) + Send>;
