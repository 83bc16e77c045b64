//! What an engine gives and takes as one of several nodes: a primary's log is read and copied, a replica's is written.
//!
//! Guarantees: a replica's changes go the way of a primary's commands from the batch on: one synced write, then the cells, then
//! the answer; on the same thread, so that neither runs beside the other. A change is taken only if it is the next one and of
//! the reign that its sequence belongs to. Nobody is answered from a copy that is not complete, not after a restart either.

mod copy;
mod head;
mod lineage;
mod snapshot;

pub(crate) use copy::{CHANGE_ROWS, REQUEST_ROWS, RULE_ROWS, SHARDS_END, USED_ROWS};
pub use copy::{CopyChunk, CopyCursor, CopyEnd, CopyPlace, CopyRow};
pub(crate) use head::Head;
pub use lineage::{CopyName, Era, Lineage, LineageError, Reign};
pub(crate) use snapshot::Permits;
pub use snapshot::{Snapshot, SnapshotError};

use crate::ids::{Epoch, Position, Sequence};

/// Who decides what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This node: it takes commands. A node that stands alone is one, too.
    Primary,
    /// Another node: this one takes its changes, and no commands.
    Replica,
}

/// What a node is among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    pub mode: Mode,
    pub standing: NodeStanding,
}

/// What is durable with a node, besides its changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStanding {
    /// The reigns that it knows.
    pub lineage: Lineage,
    /// Whether the newest of them is its own.
    pub reigns: Reigns,
    /// How far a copy has come that is not complete yet.
    pub copying: Option<CopyPlace>,
}

/// Whose the newest reign is that a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reigns {
    /// The node's own.
    Itself,
    /// That of another node. Until it is promoted, this one must not give sequences to changes.
    Other,
}

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

/// A summary of all that nodes have in common at one position. It depends on no order and on no division into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// The last change that is contained.
    pub position: Position,
    /// How many records there are.
    pub records: u64,
    /// Of all records.
    pub records_hash: u128,
    /// Of all request ids and the keys that they made.
    pub requests_hash: u128,
    /// Of all rules in force.
    pub rules_hash: u128,
}

/// Why a node does not take what another one sends. After any of these, what it holds is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// It takes commands instead; for the operator.
    #[error("this node is a primary")]
    Primary,
    /// It follows already, and only a primary can step down; for the operator.
    #[error("this node is a replica")]
    Replica,
    /// Changes are missing in between: ask again from the last one, or copy.
    #[error("change {} was expected, not change {}", expected.0, found.0)]
    Gap {
        /// The next one.
        expected: Sequence,
        /// The one that came.
        found: Sequence,
    },
    /// The sender was replaced: it must follow itself.
    #[error("epoch {} belongs to the past: epoch {} is known here", found.0, known.0)]
    OlderEpoch {
        /// The epoch that the change would have to be of, or the newest one.
        known: Epoch,
        /// The one that came.
        found: Epoch,
    },
    /// An epoch must be known durably before its first change comes: adopt its lineage first.
    #[error("epoch {} is not known here", found.0)]
    UnknownEpoch {
        /// The epoch of the change.
        found: Epoch,
    },
    /// The nodes hold different changes of the same sequence: one of them has to be copied anew.
    #[error("change {} is another one here", at.0)]
    Diverged {
        /// The first sequence that is known to differ.
        at: Sequence,
    },
    /// What came cannot be read, or does not fit together; a defect, or damage on the way.
    #[error("unreadable: {0}")]
    Malformed(String),
    /// A copy has begun and is not complete.
    #[error("this node holds a part of a copy")]
    Incomplete,
    /// No copy of this name is under way.
    #[error("no such copy is under way")]
    NoCopy,
    /// The lineage does not allow it.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// Storage could not be read; nothing was changed.
    #[error("storage: {0}")]
    Storage(String),
    /// An earlier write failed; an operator must look at the disk and restart.
    #[error("writes are stopped: {0}")]
    Latched(String),
    /// Too much waits to be written; try again in a moment.
    #[error("the write queue is full")]
    Busy,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopping,
}
