//! The change log as it is read and sent to other nodes: positions and bytes.

use crate::ids::Position;

/// One entry of the log as it is written there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its place.
    pub position: Position,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// How much to read at once: at least one entry, whatever the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Entries.
    pub entries: usize,
    /// Bytes after which no further entry follows.
    pub bytes: usize,
}

/// What a read of the log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// These changes, of one epoch, without a gap.
    Changes(Vec<LoggedChange>),
    /// There are none yet.
    None,
    /// The log does not hold the change to go on from: it begins later, or never had it.
    Gone,
}
