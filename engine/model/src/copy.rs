//! A full copy of a node as it travels: rows in one order, and the place up to which they are there.
//!
//! What travels are records, request ids, times of last use, the rules in force, and the one change that the copy is consistent with. Indexes and counts
//! do not: they follow from the records, and the receiver makes them itself, with the number of shards and the seed of its own
//! database. The change goes into the receiver's log, which therefore ends where the copy does, as any log does: the tail
//! follows it without a gap, and who compares last changes finds one.

use crate::epoch_history::CopyName;
use crate::ids::Position;

/// The families of rows below this are shards of the sender.
pub const SHARDS_END: u16 = 0x1000;
/// The family of request ids.
pub const REQUEST_ROWS: u16 = 0x1000;
/// The family of times of last use.
pub const USED_ROWS: u16 = 0x1001;
/// The family of rules in force.
pub const RULE_ROWS: u16 = 0x1002;
/// The family of the last change. The last of all.
pub const CHANGE_ROWS: u16 = u16::MAX;

/// A place among the rows of a copy, which are ordered by family, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyCursor {
    /// The family of the row.
    pub family: u16,
    /// Its key; empty = before the first row of the family.
    pub key: Vec<u8>,
}

/// One row of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRow {
    /// What kind of row it is, and of which part.
    pub family: u16,
    /// Its key.
    pub key: Vec<u8>,
    /// What stands there.
    pub value: Vec<u8>,
}

impl CopyRow {
    /// Its place.
    #[must_use]
    pub fn cursor(&self) -> CopyCursor {
        CopyCursor {
            family: self.family,
            key: self.key.clone(),
        }
    }
}

/// Whether more follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// More rows.
    More,
    /// Nothing: the copy is complete.
    Last,
}

/// Some rows of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyChunk {
    /// The rows, in their order.
    pub rows: Vec<CopyRow>,
    /// Whether more follow.
    pub end: CopyEnd,
}

/// A copy that is under way, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Which copy.
    pub name: CopyName,
    /// The change that it is consistent with.
    pub position: Position,
    /// What the sender said of that change, in short. The engine keeps it for whoever asks the sender to go on.
    pub digest: Option<u64>,
    /// The last row that is there.
    pub cursor: CopyCursor,
}
