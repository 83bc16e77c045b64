//! The storage of a primary, as its feeds use it.

use talos_model::{CopyCursor, CopyEnd, CopyName, CopyPlace, CopyRow, Position, Sequence};

use crate::message::{Batch, Digest, LogPoint};

/// Storage has failed. The connection ends, and the replica tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the primary's storage: {0}")]
pub struct SourceError(pub String);

/// The storage of a primary. All calls may block on disk.
pub trait ChangeSource {
    /// Checks whether the log still holds all changes after `at`, and returns the digest of the
    /// change at `at`. If that digest is unknown the change counts as gone, except before the first
    /// change.
    ///
    /// # Errors
    /// The disk has failed, or data is damaged.
    fn look(&mut self, at: Position) -> Result<Looked, SourceError>;

    /// Reads the changes after `after` and up to `up_to`: of one epoch, without a gap, about
    /// `bytes_max` bytes. At least one change if there is any, and at most `limits::BATCH_CHANGES`.
    ///
    /// # Errors
    /// The disk has failed, or data is damaged.
    fn read(
        &mut self,
        after: Position,
        up_to: Sequence,
        bytes_max: usize,
    ) -> Result<Reading, SourceError>;

    /// Opens the copy with this id if it is still kept; otherwise a new one of everything that is
    /// durable now.
    ///
    /// # Errors
    /// The disk has failed, or data is damaged.
    fn open_copy(&mut self, resume: Option<CopyName>) -> Result<CopyOpening, SourceError>;

    /// Reads the rows of a copy after `after`: about `bytes_max` bytes and at most
    /// `limits::CHUNK_ROWS`.
    ///
    /// # Errors
    /// The disk has failed, or data is damaged.
    fn read_copy(
        &mut self,
        copy: CopyName,
        after: &CopyCursor,
        bytes_max: usize,
    ) -> Result<CopyReading, SourceError>;

    /// The replica has the copy: it need not be kept any longer. A copy that is never closed is
    /// dropped when it is idle for too long.
    fn close_copy(&mut self, copy: CopyName);
}

/// The result of [`ChangeSource::look`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// The log holds all changes after this one. The digest of this one; `None` before the first
    /// change.
    Here(Option<Digest>),
    /// The log begins later: changes after this one were dropped.
    Gone,
}

/// The result of [`ChangeSource::read`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Changes.
    Changes(Batch),
    /// No changes.
    None,
    /// The log begins later: changes after this one were dropped.
    Gone,
}

/// The result of [`ChangeSource::open_copy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyOpening {
    /// This copy, which is consistent with this change.
    Open(CopyName, LogPoint),
    /// The limit of copies is reached.
    Busy,
}

/// The result of [`ChangeSource::read_copy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyReading {
    /// Rows, and whether more follow.
    Rows(Vec<CopyRow>, CopyEnd),
    /// The copy is no longer kept.
    Gone,
}

/// Work for a primary's storage. A feed returns it; the driver does it on a thread that may block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceWork {
    /// [`ChangeSource::look`].
    Look(Position),
    /// [`ChangeSource::read`].
    Read {
        /// Read the changes after this one.
        after: Position,
        /// The last change to read. It is durable.
        up_to: Sequence,
        /// Read about this many bytes.
        bytes_max: usize,
    },
    /// [`ChangeSource::open_copy`].
    OpenCopy(Option<CopyName>),
    /// [`ChangeSource::read_copy`].
    ReadCopy {
        /// The copy, and the row after which to read.
        place: CopyPlace,
        /// Read about this many bytes.
        bytes_max: usize,
    },
    /// [`ChangeSource::close_copy`].
    CloseCopy(CopyName),
}

/// The result of [`SourceWork`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceDone {
    /// The result of [`SourceWork::Look`].
    Looked(Looked),
    /// The result of [`SourceWork::Read`].
    Read(Reading),
    /// The result of [`SourceWork::OpenCopy`].
    CopyOpened(CopyOpening),
    /// The result of [`SourceWork::ReadCopy`].
    CopyRead(CopyReading),
    /// Storage has failed.
    Failed(SourceError),
}

impl SourceWork {
    /// Does the work. Blocks on disk. `None` if the feed needs no result.
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
                .read_copy(place.name, &place.cursor, bytes_max)
                .map(SourceDone::CopyRead),
            Self::CloseCopy(copy) => {
                source.close_copy(copy);
                return None;
            }
        };
        Some(done.unwrap_or_else(SourceDone::Failed))
    }
}
