//! Reading records, by whatever stores them.

use talos_model::{KeyKind, ListQuery, Page, Record, RecordKey, Rule, ShardId, TenantId};

use super::error::StorageError;

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
