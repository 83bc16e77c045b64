//! The messages between two nodes after the handshake.

use talos_model::{
    Acceptance, CopyCursor, CopyEnd, CopyName, CopyPlace, CopyRow, EpochHistory, Position, Sequence,
};

use crate::refusal::Refusal;

/// A message. A replica begins with `Follow`; the primary answers with `Welcome` or `Refused`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Replica: what it holds and where it wants to start.
    Follow(FollowRequest),
    /// Replica: it is alive, and what is durable there.
    StatusUpdate(StatusUpdate),
    /// Replica: when keys were last used there.
    LastUsed(Vec<LastUsed>),
    /// Primary: what it will send.
    Welcome(Welcome),
    /// Primary: it will send nothing.
    Refused(Refusal),
    /// Primary: changes, in order, without a gap.
    Changes(Batch),
    /// Primary: it is alive, and its last change.
    Heartbeat(Heartbeat),
    /// Primary: a part of a full copy.
    Chunk(Chunk),
    /// Either: which credentials it accepts. The first message of each side.
    Acceptance(Acceptance),
}

/// A replica's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowRequest {
    /// The epochs that the replica knows.
    pub history: EpochHistory,
    /// Where to start.
    pub start: StartFrom,
    /// For how many milliseconds the replica goes on answering after it was last up to date.
    pub max_staleness_ms: u64,
}

/// Where a replica wants to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// After this change, the last that is durable at the replica.
    Change(LogPoint),
    /// From nothing, with a full copy. The replica will drop what it holds.
    Nothing,
    /// In the middle of a full copy, after this place.
    Copy(CopyPlace),
}

/// A change in the log, identified by position and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPoint {
    /// Its position.
    pub position: Position,
    /// The digest of its bytes; `None` before the first change.
    pub digest: Option<Digest>,
}

/// A digest of a change's bytes, by which two nodes check that they hold the same change. A primary
/// that was restored from a backup uses a sequence a second time; so does one whose disk has lost
/// synced writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u64);

impl Digest {
    /// Digests a change as storage writes it: the first eight bytes of its SHA-256, little endian.
    #[must_use]
    pub fn of(change: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, change);
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_le_bytes(first))
    }
}

/// A replica's sign of life and its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusUpdate {
    /// The last change that is durable and visible there; `None` in the middle of a full copy.
    pub durable: Option<Position>,
    /// The replica's monotonic clock, in milliseconds. The primary only repeats it.
    pub sent_ms: u64,
}

/// When a key was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUsed {
    /// The key's name in storage.
    pub key: Vec<u8>,
    /// The time, in milliseconds since 1970.
    pub time_ms: i64,
}

/// The answer to a request that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The epochs of the primary. The replica adopts them before it accepts anything else.
    pub history: EpochHistory,
    /// What the primary will send.
    pub plan: Plan,
}

/// What a primary will send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// The changes after this position.
    Feed(Position),
    /// The rows of a full copy after this place, then the changes after the copy.
    Copy(CopyPlace),
}

/// Consecutive changes of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The position of the first one.
    pub first: Position,
    /// Their bytes, as storage writes them; at least one.
    pub changes: Vec<Vec<u8>>,
}

impl Batch {
    /// The digest of the last one.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.changes.last().map_or(&[], Vec::as_slice))
    }

    /// The position of the last one.
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

/// A primary's sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its last durable change.
    pub committed: Position,
    /// Its wall clock, in milliseconds since 1970. The replica only shows how far it is off.
    pub time_ms: i64,
    /// The replica's clock from its newest status update; `None` while writes cannot wait for the
    /// replica yet.
    pub echo_ms: Option<u64>,
}

/// Consecutive rows of a full copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which copy.
    pub copy: CopyName,
    /// The change that the copy is consistent with.
    pub position: Position,
    /// The place after which the rows follow.
    pub after: CopyCursor,
    /// The rows; only the last chunk may have none.
    pub rows: Vec<CopyRow>,
    /// Whether more rows follow.
    pub end: CopyEnd,
}

impl Chunk {
    /// The place of the last row.
    #[must_use]
    pub fn cursor(&self) -> CopyCursor {
        self.rows
            .last()
            .map_or_else(|| self.after.clone(), CopyRow::cursor)
    }
}
