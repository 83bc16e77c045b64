//! What the committing thread is asked to do for the node as one of several.

use talos_model::{
    CopyChunk, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, FollowError, LoggedChange,
    Position,
};

/// See the module. Each is one write.
pub enum Order {
    /// Take these changes of the primary.
    Apply(Vec<LoggedChange>),
    /// Take over the epochs of the primary.
    Adopt(EpochHistory),
    /// Become the primary, of this epoch or the next one.
    Promote(Option<Epoch>, EpochId),
    /// Become a replica.
    StepDown,
    /// Throw everything away for a copy that begins.
    BeginCopy(EpochHistory, CopyPlace),
    /// Add rows to the copy of this name.
    Install(CopyName, CopyChunk),
}

/// Called exactly once, with the last change that the node then holds.
pub type OrderDone = Box<dyn FnOnce(Result<Position, FollowError>) + Send>;
