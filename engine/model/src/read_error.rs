//! The error of reads.

/// Why a record could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The node holds a part of a copy and answers no reads until the copy is complete. Try again
    /// later.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// The queue of disk reads is full. Try again in a moment.
    #[error("too many reads are waiting for the disk")]
    Busy,
    /// The disk failed, or the record on it is damaged. An operator must act.
    #[error("storage: {0}")]
    Storage(String),
}
