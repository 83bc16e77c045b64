//! The storage of a replica, as its follower uses it.

use talos_model::{CopyCursor, CopyEnd, CopyPlace, EpochHistory, Position};

use crate::message::{Batch, Chunk, Digest, LogPoint};

/// Storage has failed. What is on disk is unknown; the replica stops until it is restarted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica's storage: {0}")]
pub struct SinkError(pub String);

/// The storage of a replica. Every call is one atomic write and returns when it is durable, except
/// for the chunks of a copy before the last one. Readers see the changes when the call returns, not
/// earlier.
pub trait ChangeSink {
    /// Makes this the epoch history of the node.
    ///
    /// # Errors
    /// The disk has failed.
    fn adopt(&mut self, history: &EpochHistory) -> Result<(), SinkError>;

    /// Appends these changes to the log and applies them.
    ///
    /// # Errors
    /// The disk has failed, or a change cannot be decoded.
    fn apply(&mut self, batch: &Batch) -> Result<(), SinkError>;

    /// Deletes everything, adopts the epoch history, and records that a copy has begun. From then
    /// on the node has no state to show until the copy is complete, after a restart as well.
    ///
    /// # Errors
    /// The disk has failed.
    fn begin_copy(&mut self, history: &EpochHistory, place: &CopyPlace) -> Result<(), SinkError>;

    /// Adds rows to the copy and records its cursor. The last chunk completes the copy: all of it
    /// is durable, and the node's position is the copy's. Before that a power failure may lose
    /// rows, together with the cursor.
    ///
    /// # Errors
    /// The disk has failed, or a row cannot be decoded.
    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError>;
}

/// What is durable at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableState {
    /// The epochs that the node knows.
    pub history: EpochHistory,
    /// How far its state has come.
    pub progress: Progress,
    /// The digest of its last change, which is in the log or is the one that a copy is consistent
    /// with; `None` before the first change.
    pub last: Option<Digest>,
}

/// How far the state of a node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All changes up to this one.
    At(Position),
    /// A part of a copy, which must not be shown.
    Copying(CopyPlace),
}

/// Work for a replica's storage, to be done in the order in which it was returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkWork {
    /// [`ChangeSink::adopt`].
    Adopt(EpochHistory),
    /// [`ChangeSink::apply`].
    Apply(Batch),
    /// [`ChangeSink::begin_copy`].
    BeginCopy(EpochHistory, CopyPlace),
    /// [`ChangeSink::install`].
    Install(Chunk),
}

/// The result of [`SinkWork`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkDone {
    /// The result of [`SinkWork::Adopt`].
    Adopted(EpochHistory),
    /// The result of [`SinkWork::Apply`]: the last change.
    Applied(LogPoint),
    /// The result of [`SinkWork::BeginCopy`].
    CopyBegun(EpochHistory, CopyPlace),
    /// The result of [`SinkWork::Install`]: the last row, and whether the copy is complete.
    Installed(CopyCursor, CopyEnd),
    /// Storage has failed.
    Failed(SinkError),
}

impl SinkWork {
    /// Does the work. Blocks on disk.
    pub fn perform(self, sink: &mut impl ChangeSink) -> SinkDone {
        let done = match self {
            Self::Adopt(history) => sink.adopt(&history).map(|()| SinkDone::Adopted(history)),
            Self::Apply(batch) => sink.apply(&batch).map(|()| {
                SinkDone::Applied(LogPoint {
                    position: batch.last(),
                    digest: Some(batch.digest()),
                })
            }),
            Self::BeginCopy(history, place) => sink
                .begin_copy(&history, &place)
                .map(|()| SinkDone::CopyBegun(history, place)),
            Self::Install(chunk) => sink
                .install(&chunk)
                .map(|()| SinkDone::Installed(chunk.cursor(), chunk.end)),
        };
        done.unwrap_or_else(SinkDone::Failed)
    }
}
