//! A full copy of a node, as nodes send it: ordered rows, and a cursor that says how far it has
//! come.
//!
//! A copy contains the records, the request ids, the times of last use, the bulk revocations in
//! force, the admin tokens, the uses of secrets, and the last change that it includes. It contains
//! no indexes and no counts: the receiver computes them from the records, with its own number of
//! shards and its own seed. The receiver writes the last change into its log. Its log therefore
//! ends where the copy does: later changes follow without a gap, and a comparison of last changes
//! finds one.

use crate::epoch_history::CopyName;
use crate::ids::Position;

/// Row families below this number are shards of the sender.
pub const SHARDS_END: u16 = 0x1000;
/// The family of request ids.
pub const REQUEST_ROWS: u16 = 0x1000;
/// The family of the times of last use.
pub const USED_ROWS: u16 = 0x1001;
/// The family of the bulk revocations in force.
pub const BULK_REVOCATION_ROWS: u16 = 0x1002;
/// The family of the admin tokens.
pub const ADMIN_TOKEN_ROWS: u16 = 0x1003;
/// The family of the uses of secrets.
pub const SECRET_USE_ROWS: u16 = 0x1004;
/// The family of the last change. Sorts after all others.
pub const CHANGE_ROWS: u16 = u16::MAX;

/// A place among the rows of a copy. Rows are ordered by family, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyCursor {
    /// The family of the row.
    pub family: u16,
    /// The key of the row; empty = before the first row of the family.
    pub key: Vec<u8>,
}

/// One row of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRow {
    /// The kind of the row: a shard number or one of the families above.
    pub family: u16,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
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

/// Whether more rows follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// More rows follow.
    More,
    /// The copy is complete.
    Last,
}

/// Some rows of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyChunk {
    /// The rows, in order.
    pub rows: Vec<CopyRow>,
    /// Whether more rows follow.
    pub end: CopyEnd,
}

/// A copy in progress, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Which copy.
    pub name: CopyName,
    /// The last change that the copy includes.
    pub position: Position,
    /// The sender's digest of that change. The engine stores it, so that replication can resume the
    /// copy with the sender.
    pub digest: Option<u64>,
    /// The last row that was written.
    pub cursor: CopyCursor,
}

/// Number of entries in a copy or a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounts {
    /// Keys.
    pub keys: u64,
    /// Idempotency keys of requests.
    pub requests: u64,
    /// Times of last use.
    pub uses: u64,
    /// Rows of every kind together.
    pub rows: u64,
}
