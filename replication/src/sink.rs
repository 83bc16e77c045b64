//! What a follower needs of a replica's storage.

use crate::history::EpochHistory;
use crate::message::{Batch, Chunk, CopyPlace, Cursor, Digest, End, LogPoint};
use crate::position::Position;

/// Storage could not do it. What is on disk is unknown; the replica stops until it is started again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica's storage: {0}")]
pub struct SinkError(pub String);

/// A replica's storage, as a follower sees it. Every call is one write, all or nothing, and returns when it is durable, but for the
/// chunks of a copy before its last one; what it changes is visible to readers then, and not before.
pub trait ChangeSink {
    /// Makes this the history of the node.
    ///
    /// # Errors
    /// The disk.
    fn adopt(&mut self, history: &EpochHistory) -> Result<(), SinkError>;

    /// Adds these changes to the log and does what they say.
    ///
    /// # Errors
    /// The disk, or a change that cannot be read.
    fn apply(&mut self, batch: &Batch) -> Result<(), SinkError>;

    /// Throws everything away, takes over the history, and notes that a copy has begun. From now on, and after a restart
    /// as well, the node holds no state that may be shown until the copy is complete.
    ///
    /// # Errors
    /// The disk.
    fn begin_copy(&mut self, history: &EpochHistory, place: &CopyPlace) -> Result<(), SinkError>;

    /// Adds rows to the copy and notes its cursor. With the last chunk the copy is complete and all of it durable, and the node's
    /// position that of the copy. Before that a power cut may take back rows, and the cursor with them.
    ///
    /// # Errors
    /// The disk, or a row that cannot be read.
    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError>;
}

/// What is durable with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurableState {
    /// The epochs that it knows.
    pub history: EpochHistory,
    /// How far its state has come.
    pub progress: Progress,
    /// What its last change says, in short, be it in the log or the one that a copy is consistent with; `None` before the
    /// first change.
    pub last: Option<Digest>,
}

/// How far the state of a node has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It holds all changes up to this one.
    At(Position),
    /// It holds a part of a copy, which nobody may see.
    Copying(CopyPlace),
}

/// Something for a replica's storage to do, in the order in which it is named.
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

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkDone {
    /// Of [`SinkWork::Adopt`].
    Adopted(EpochHistory),
    /// Of [`SinkWork::Apply`]: the last change.
    Applied(LogPoint),
    /// Of [`SinkWork::BeginCopy`].
    CopyBegun(EpochHistory, CopyPlace),
    /// Of [`SinkWork::Install`]: the last row, and whether that was all.
    Installed(Cursor, End),
    /// Storage failed.
    Failed(SinkError),
}

impl SinkWork {
    /// Does it.
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
