//! Commands of replication to the committing thread.

use talos_model::{
    CopyChunk, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, FollowError, LoggedChange,
    Position, SecretFingerprint, TenantId,
};

/// A command of replication. Each one is one write.
pub enum ReplicationCommand {
    /// Apply these changes of the primary.
    Apply(Vec<LoggedChange>),
    /// Adopt the epoch history of the primary.
    Adopt(EpochHistory),
    /// Become the primary of this epoch, or of the next one if it is `None`.
    Promote(Option<Epoch>, EpochId),
    /// Become a replica.
    StepDown,
    /// Delete everything and begin a copy.
    BeginCopy {
        /// The cluster of the primary.
        cluster: [u8; 16],
        epochs: EpochHistory,
        place: CopyPlace,
    },
    /// Add rows to the copy of this name.
    Install(CopyName, CopyChunk),
    /// Forget that these secrets have signed keys of these tenants. For primaries and replicas.
    ForgetSecrets(Vec<(TenantId, SecretFingerprint)>),
}

/// Called exactly once, with the last change that the node then holds.
pub type ReplicationDone = Box<dyn FnOnce(Result<Position, FollowError>) + Send>;
