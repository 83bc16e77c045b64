//! What a verification came to: an answer, or a read from disk that it needs first.

use std::sync::Arc;

use talos_model::{CacheStatus, RecordKey, Rules};

use crate::cache::{KeyCell, Proven};

/// Either the answer or the read it needs.
#[derive(Debug)]
pub enum Step<R, P = PendingRead> {
    /// The answer was given.
    Answered(R),
    /// The record must come from disk: hand this to `Engine::read`, then to `Engine::finish`.
    Pending(P),
}

/// A read from disk that a verification waits for.
#[derive(Debug)]
pub struct PendingRead(pub(crate) Target);

/// What is known of a credential before its record is read.
#[derive(Debug)]
pub struct Target {
    pub key: RecordKey,
    /// Linked before the read; `None` when the answer is not to be kept.
    pub cell: Option<Arc<KeyCell>>,
    pub proof: Proven,
    pub status: CacheStatus,
    /// Taken before the read, so that what was decided before the question is not missed; see [`Rules`].
    pub rules: Rules,
}
