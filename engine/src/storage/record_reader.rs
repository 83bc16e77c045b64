//! The trait that reads records.

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, BulkRevocation, KeyKind, ListQuery, Page, Record, RecordKey, SecretUses, ShardId,
    TenantId,
};

use super::error::StorageError;
use super::format::request::RequestEntry;

/// Result of looking a record up in memory alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InMemory {
    /// It is in memory.
    Found(Box<Record>),
    /// The bloom filters show that there is no such record.
    Absent,
    /// The record can only be found by reading the disk.
    Unknown,
}

/// Reads records.
pub trait RecordReader: Send + Sync {
    /// Looks the record up without waiting for the disk.
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError>;

    /// Reads the record. May wait for the disk.
    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError>;

    /// The earlier command with this request id. May wait for the disk.
    fn request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RequestEntry>, StorageError>;

    /// How many keys of the tenant are not revoked. May wait for the disk.
    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError>;

    /// One page of keys. Keys that were created at `aged` or before have reached their greatest age
    /// and count as expired; imported keys never do. May wait for the disk.
    fn list(&self, query: &ListQuery, aged: UnixMillis) -> Result<Page, StorageError>;

    /// Looks at the next `limit` keys of a shard, or of one tenant in it, and returns those whose
    /// records satisfy `wanted`. Begins after the key `after`, the end of the previous page. An
    /// empty `after` begins with the first key. Waits for the disk.
    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<ScanPage, StorageError>;

    /// The bulk revocations in force, in any order. May wait for the disk.
    fn bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StorageError>;

    /// The admin tokens, in any order. May wait for the disk.
    fn admin_tokens(&self) -> Result<Vec<AdminToken>, StorageError>;

    /// The uses of secrets. May wait for the disk.
    fn secret_uses(&self) -> Result<SecretUses, StorageError>;

    /// The records of keys of one shard, in any order. Keys without a record are left out. May wait
    /// for the disk.
    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError>;
}

/// Result of [`RecordReader::scan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// The wanted keys.
    pub keys: Vec<RecordKey>,
    /// The last key that was looked at; `None` when there was none.
    pub end: Option<Vec<u8>>,
}
