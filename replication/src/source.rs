//! What a feed needs of a primary's storage.

use crate::message::{Batch, CopyPlace, Cursor, Digest, End, LogPoint, Row};
use crate::position::{CopyId, Position, Sequence};

/// Storage could not do it; the connection ends, and the replica tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the primary's storage: {0}")]
pub struct SourceError(pub String);

/// A primary's storage, as a feed sees it. All calls may wait for the disk.
pub trait ChangeSource {
    /// Whether the log still holds all changes after `at`, and what the one at this place says. A change of which that is not
    /// known is gone, but for the place before the first one.
    ///
    /// # Errors
    /// The disk, or damage.
    fn look(&mut self, at: Position) -> Result<Looked, SourceError>;

    /// The changes after `after` and up to `up_to`, of one epoch, without a gap, and about `bytes_max` bytes of them: at least
    /// one change if there is any, and no more than `limits::BATCH_CHANGES`.
    ///
    /// # Errors
    /// The disk, or damage.
    fn read(
        &mut self,
        after: Position,
        up_to: Sequence,
        bytes_max: usize,
    ) -> Result<Reading, SourceError>;

    /// The copy with this id if it is still kept; otherwise a new one, of all that is durable now.
    ///
    /// # Errors
    /// The disk, or damage.
    fn open_copy(&mut self, resume: Option<CopyId>) -> Result<CopyOpening, SourceError>;

    /// The rows of a copy after `after`, about `bytes_max` bytes of them and at most `limits::CHUNK_ROWS`.
    ///
    /// # Errors
    /// The disk, or damage.
    fn read_copy(
        &mut self,
        copy: CopyId,
        after: &Cursor,
        bytes_max: usize,
    ) -> Result<CopyReading, SourceError>;

    /// The copy is there, and need not be kept any longer. One that is never closed is dropped when it is too old.
    fn close_copy(&mut self, copy: CopyId);
}

/// What a look at the log found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It holds all changes after this one, which says this; `None` before the first change.
    Here(Option<Digest>),
    /// The log begins later: changes after this one have been dropped.
    Gone,
}

/// What a read of the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// These changes.
    Changes(Batch),
    /// There are none.
    None,
    /// The log begins later: changes after this one have been dropped.
    Gone,
}

/// What asking for a copy led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyOpening {
    /// This copy, consistent with this change.
    Open(CopyId, LogPoint),
    /// As many copies as are allowed are under way.
    Busy,
}

/// What a read of a copy found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyReading {
    /// These rows, and whether more follow.
    Rows(Vec<Row>, End),
    /// The copy is kept no longer.
    Gone,
}

/// Something for a primary's storage to do. Feeds name it; whoever drives them does it, where waiting harms nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceWork {
    /// [`ChangeSource::look`].
    Look(Position),
    /// [`ChangeSource::read`].
    Read {
        /// After which change.
        after: Position,
        /// Up to which change, which is durable.
        up_to: Sequence,
        /// About how many bytes.
        bytes_max: usize,
    },
    /// [`ChangeSource::open_copy`].
    OpenCopy(Option<CopyId>),
    /// [`ChangeSource::read_copy`].
    ReadCopy {
        /// Of which copy, and after which row.
        place: CopyPlace,
        /// About how many bytes.
        bytes_max: usize,
    },
    /// [`ChangeSource::close_copy`].
    CloseCopy(CopyId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceDone {
    /// Of [`SourceWork::Look`].
    Looked(Looked),
    /// Of [`SourceWork::Read`].
    Read(Reading),
    /// Of [`SourceWork::OpenCopy`].
    CopyOpened(CopyOpening),
    /// Of [`SourceWork::ReadCopy`].
    CopyRead(CopyReading),
    /// Storage failed.
    Failed(SourceError),
}

impl SourceWork {
    /// Does it. `None` when the feed need not be told.
    pub fn perform(self, source: &mut impl ChangeSource) -> Option<SourceDone> {
        let done = match self {
            Self::Look(at) => source.look(at).map(SourceDone::Looked),
            Self::Read {
                after,
                up_to,
                bytes_max,
            } => source.read(after, up_to, bytes_max).map(SourceDone::Read),
            Self::OpenCopy(resume) => source.open_copy(resume).map(SourceDone::CopyOpened),
            Self::ReadCopy { place, bytes_max } => source
                .read_copy(place.copy, &place.cursor, bytes_max)
                .map(SourceDone::CopyRead),
            Self::CloseCopy(copy) => {
                source.close_copy(copy);
                return None;
            }
        };
        Some(done.unwrap_or_else(SourceDone::Failed))
    }
}
