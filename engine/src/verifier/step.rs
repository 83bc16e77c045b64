//! The result of a verification step: an answer, or a read from disk that is needed first.

use std::sync::Arc;

use talos_model::{BulkRevocations, CacheStatus, RecordKey, Refusal};

use crate::cache::{KeyCell, Proven};

/// The answer, or the read that is needed before it.
#[derive(Debug)]
pub enum VerifyStep<R, P = PendingRead> {
    /// The answer was given.
    Answered(R),
    /// The record must be read from disk: pass this to `Engine::read`, then to `Engine::finish`.
    Pending(P),
}

/// A read from disk that a verification needs.
#[derive(Debug)]
pub struct PendingRead(pub(crate) ReadRequest);

/// The record to read, and what is known of the credential before the read.
#[derive(Debug)]
pub struct ReadRequest {
    pub key: RecordKey,
    /// The cell that gets the cached key, linked before the read. `None` if the record is not to be
    /// cached.
    pub cell: Option<Arc<KeyCell>>,
    pub proof: Proven,
    /// The verdict if there is no record.
    pub if_unknown: Refusal,
    pub status: CacheStatus,
    /// Taken before the read, so that no bulk revocation is missed that was in force when the
    /// request arrived; see [`BulkRevocations`].
    pub bulk_revocations: BulkRevocations,
}
