//! What two nodes say to each other once they have proven who they are.

use crate::history::EpochHistory;
use crate::position::{CopyId, Position, Sequence};
use crate::refusal::Refusal;

/// A message. The first six are the replica's and the primary's in turn: a connection begins with `Follow`, which is
/// answered by `Welcome` or `Refused`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Replica: what it holds and wants.
    Follow(FollowRequest),
    /// Replica: it is there, and this is durable.
    StatusUpdate(StatusUpdate),
    /// Replica: when keys were last used there.
    LastUsed(Vec<LastUsed>),
    /// Primary: what will follow.
    Welcome(Welcome),
    /// Primary: nothing will follow.
    Refused(Refusal),
    /// Primary: changes, in order, without a gap.
    Changes(Batch),
    /// Primary: it is there, and this is its last change.
    Heartbeat(Heartbeat),
    /// Primary: a part of a full copy.
    Chunk(Chunk),
}

/// The wish of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowRequest {
    /// The epochs that it knows.
    pub history: EpochHistory,
    /// From where it wants to go on.
    pub start: StartFrom,
    /// For how many milliseconds after it has last been up to date it goes on to answer.
    pub max_staleness_ms: u64,
}

/// From where a replica wants to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// After this change, the last that is durable with it.
    Change(LogPoint),
    /// From nothing: whatever it holds, it will throw away.
    Nothing,
    /// In the midst of a full copy, at this place.
    Copy(CopyPlace),
}

/// The last change that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPoint {
    /// Its place.
    pub position: Position,
    /// What it says, in short; `None` before the first change.
    pub digest: Option<Digest>,
}

/// The bytes of a change in short, by which two nodes find out whether they mean the same one. A primary that was brought back
/// from a backup gives a sequence a second time; so does one whose disk has lost what it had promised to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    /// Of a change as storage writes it: the first eight bytes of its SHA-256.
    #[must_use]
    pub fn of(change: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, change);
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_le_bytes(first))
    }
}

/// A place in a full copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Which copy.
    pub copy: CopyId,
    /// The change that it is consistent with.
    pub position: Position,
    /// What that change says, in short.
    pub last: Option<Digest>,
    /// The rows before this are there.
    pub cursor: Cursor,
}

/// A place among the rows of a copy: they are ordered by family, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The family of the last row that is there.
    pub family: u16,
    /// Its key; empty = before the first row of the family.
    pub key: Vec<u8>,
}

/// The life sign of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The last change that is durable and visible there; `None` = it is in the midst of a full copy.
    pub durable: Option<Position>,
    /// The replica's own monotonic clock, in milliseconds; the primary only repeats it.
    pub sent_ms: u64,
}

/// When a key was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUsed {
    /// The key, as storage names it.
    pub key: Vec<u8>,
    /// Milliseconds since 1970.
    pub time_ms: i64,
}

/// The answer to a wish that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The epochs of the primary, which the replica makes its own before it takes anything else.
    pub history: EpochHistory,
    /// What follows.
    pub plan: Plan,
}

/// What a replica will get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The changes after this position.
    Feed(Position),
    /// The rows of a full copy from this place on, then the changes after it.
    Copy(CopyPlace),
}

/// Changes that follow one another, all of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The place of the first one.
    pub first: Position,
    /// Their bytes, as storage writes them; at least one.
    pub changes: Vec<Vec<u8>>,
}

impl Batch {
    /// What the last one says, in short.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.changes.last().map_or(&[], Vec::as_slice))
    }

    /// The place of the last one.
    #[must_use]
    pub fn last(&self) -> Position {
        Position {
            epoch: self.first.epoch,
            sequence: Sequence(
                self.first
                    .sequence
                    .plus(self.changes.len())
                    .0
                    .saturating_sub(1),
            ),
        }
    }
}

/// The life sign of a primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its last durable change.
    pub committed: Position,
    /// Its wall clock, in milliseconds since 1970; to show, never to judge by.
    pub time_ms: i64,
    /// What the newest status update of the replica said of its own clock; `None` while the replica is not counted among those that
    /// a write may wait for.
    pub echo_ms: Option<u64>,
}

/// Rows of a full copy that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which copy.
    pub copy: CopyId,
    /// The change that it is consistent with.
    pub position: Position,
    /// The place after which the rows follow.
    pub after: Cursor,
    /// The rows; none only in the last chunk.
    pub rows: Vec<Row>,
    /// Whether more rows follow.
    pub end: End,
}

impl Chunk {
    /// The place of the last row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.rows
            .last()
            .map_or_else(|| self.after.clone(), Row::cursor)
    }
}

/// Whether something goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// There is more.
    More,
    /// That was all.
    Last,
}

/// One row of a full copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which kind of row; storage knows what it means.
    pub family: u16,
    /// Its key, not empty.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl Row {
    /// The place of the row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor {
            family: self.family,
            key: self.key.clone(),
        }
    }
}
