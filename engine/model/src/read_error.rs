//! Why a read failed.

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The node holds a part of a copy, and says nothing until it is complete; try again later.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// The queue before the disk is full; try again in a moment.
    #[error("too many reads are waiting for the disk")]
    Busy,
    /// The disk or the record on it is bad; for the operator.
    #[error("storage: {0}")]
    Storage(String),
}
