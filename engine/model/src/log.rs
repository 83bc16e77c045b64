//! Encoded entries of the change log, as nodes read and send them.

use crate::ids::Position;

/// One encoded entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedChange {
    /// Its position.
    pub position: Position,
    /// The encoded change.
    pub bytes: Vec<u8>,
}

/// How much to read at once. A read returns at least one entry, whatever the limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// The most entries.
    pub entries: usize,
    /// Stop after the entry that reaches this many bytes.
    pub bytes: usize,
}

/// The result of reading the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogRead {
    /// These changes, without a gap, all of one epoch.
    Changes(Vec<LoggedChange>),
    /// No newer change exists yet.
    None,
    /// The log does not contain the change to continue from: the log begins later, or never
    /// contained it.
    Gone,
}
