//! Where records and changes live.
//!
//! The rest of the engine reaches storage through two small traits: [`Rows`] reads records, [`Journal`] makes groups of
//! changes durable. RocksDB stands behind both today; a shared database can stand behind the second one with RocksDB as
//! each node's copy behind the first.

mod change_format;
mod directory;
mod index;
#[cfg(test)]
mod list_steps;
mod log_reader;
mod old_log;
mod record_format;
mod recovery;
mod retention;
mod rocks;
mod rocks_aside;
mod rocks_batch;
mod rocks_copy;
mod rocks_list;
mod rocks_open;
mod rocks_options;
mod rocks_scan;
mod rocks_used;
mod rocks_view;
mod rule_format;
mod standing_format;
mod witness;

pub use change_format::decode as decode_change;
pub use directory::{FORMAT, format_of};
pub use index::moved;
pub use old_log::{OldLog, OldLogError};
pub use retention::Retention;
#[cfg(test)]
pub use rocks::{COUNTS, INDEX};
pub use rocks::{Opened, RocksStore};
pub use rocks_copy::count_row;
pub use rocks_open::{Wanted, open};

use std::collections::HashMap;

use talos_model::{
    Change, CopyChunk, CopyPlace, KeyKind, Lineage, ListQuery, LoggedChange, Page, Position,
    Record, RecordKey, Reigns, Rule, ShardId, TenantId,
};

/// Why storage did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The storage library or the system refused; for the operator.
    #[error("{0}")]
    Io(String),
    /// What is on disk is not what was written; for the operator.
    #[error("corrupt data: {0}")]
    Corrupt(&'static str),
    /// A later release wrote it; use that release.
    #[error(
        "a record of version {found}; this release reads up to version {supported}: use a newer release"
    )]
    NewerRecord {
        /// The version found.
        found: u8,
        /// The newest that this release reads.
        supported: u8,
    },
    /// A record that cannot be written; a defect of this program.
    #[error("cannot encode: {0}")]
    Encode(String),
}

/// What memory alone says of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InMemory {
    /// It is in memory.
    Found(Box<Record>),
    /// There is no such record: the filters say so.
    Absent,
    /// Only the disk knows.
    Unknown,
}

/// Reads records.
pub trait Rows: Send + Sync {
    /// What can be said of the record without waiting for a disk.
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError>;

    /// The record, wherever it is. May wait for the disk.
    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError>;

    /// The key that an earlier command with this idempotency key made. May wait for the disk.
    fn key_of_request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RecordKey>, StorageError>;

    /// How many keys of the tenant are not revoked. May wait for the disk.
    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError>;

    /// One page of keys. May wait for the disk.
    fn list(&self, query: &ListQuery) -> Result<Page, StorageError>;

    /// Of the next `limit` keys of a shard, or of one tenant in it, those whose records are wanted. They come after the key that
    /// ends with `after`; empty = from the first on. Waits for the disk.
    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<Stretch, StorageError>;

    /// The rules in force, in any order. May wait for the disk.
    fn rules(&self) -> Result<Vec<Rule>, StorageError>;

    /// The records of keys of one shard, as far as there are any, in any order. May wait for the disk.
    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError>;
}

/// Some keys of a shard that follow each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// Those that are wanted.
    pub keys: Vec<RecordKey>,
    /// The last of all; `None` when there was none.
    pub end: Option<Vec<u8>>,
}

/// What is to be written at once.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The changes, in order, without a gap.
    pub changes: &'a [Change],
    /// The same as another node wrote them, if they come from there: the log keeps these bytes, so that nodes can compare
    /// what a change says, whatever their releases.
    pub received: Option<&'a [LoggedChange]>,
    /// For the tenants that are concerned, how many of their keys are not revoked afterwards.
    pub live_keys: &'a HashMap<TenantId, u64>,
}

/// Makes changes durable.
pub trait Journal: Send {
    /// Writes the changes and everything that follows from them, all or nothing, and returns when they are durable.
    /// After an error nothing may be assumed about what is on disk.
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError>;

    /// Makes durable what is no change, all or nothing. After [`StorageError::Io`] nothing may be assumed about what is on disk;
    /// after any other error nothing was written.
    fn take(&mut self, step: &Step<'_>) -> Result<(), StorageError>;

    /// What the log says at a place, if it holds it. May wait for the disk.
    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError>;
}

/// Something to be made durable that is no change.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// This becomes the node's lineage.
    Lineage(&'a Lineage, Reigns),
    /// Everything is thrown away for a copy that begins.
    BeginCopy(&'a Lineage, &'a CopyPlace),
    /// These rows are added to the copy, which has then come to this place.
    Install(&'a CopyChunk, &'a CopyPlace),
}
