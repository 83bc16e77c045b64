//! Implements [`RecordReader`] with RocksDB.

use rocksdb::ErrorKind;
use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, BulkRevocation, KeyKind, ListQuery, Page, Record, RecordKey, SecretUses, ShardId,
    TenantId,
};

use super::families::{COUNTS, REQUESTS, request_key};
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::record;
use crate::storage::format::request::{self, RequestEntry};
use crate::storage::record_reader::{InMemory, RecordReader, ScanPage};

impl RecordReader for RocksStore {
    fn in_memory(&self, key: &RecordKey) -> Result<InMemory, StorageError> {
        let family = self.shard(self.shard_of(key))?;
        match self
            .db
            .get_pinned_cf_opt(family, key.as_bytes(), &self.memory_reads)
        {
            Ok(Some(bytes)) => record::decode(key.as_bytes(), &bytes)
                .map(|record| InMemory::Found(Box::new(record))),
            Ok(None) => Ok(InMemory::Absent),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(InMemory::Unknown),
            Err(error) => Err(error.into()),
        }
    }

    fn read(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let bytes = self
            .db
            .get_pinned_cf(self.shard(self.shard_of(key))?, key.as_bytes())?;
        bytes
            .map(|bytes| record::decode(key.as_bytes(), &bytes))
            .transpose()
    }

    fn request(
        &self,
        tenant: TenantId,
        kind: KeyKind,
        request_id: &str,
    ) -> Result<Option<RequestEntry>, StorageError> {
        let key = request_key(tenant, kind, request_id);
        let bytes = self.db.get_pinned_cf(self.family(REQUESTS)?, key)?;
        bytes.map(|bytes| request::decode(&bytes)).transpose()
    }

    fn live_keys(&self, tenant: TenantId) -> Result<u64, StorageError> {
        let bytes = self
            .db
            .get_pinned_cf(self.family(COUNTS)?, tenant.0.as_bytes())?;
        let Some(bytes) = bytes else {
            return Ok(0);
        };
        let bytes = bytes.as_ref().try_into();
        Ok(u64::from_le_bytes(
            bytes.map_err(|_| StorageError::Corrupt("a tenant's count"))?,
        ))
    }

    fn list(&self, query: &ListQuery, aged: UnixMillis) -> Result<Page, StorageError> {
        self.page(query, aged)
    }

    fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<ScanPage, StorageError> {
        Self::scan(self, shard, tenant, after, limit, wanted)
    }

    fn bulk_revocations(&self) -> Result<Vec<BulkRevocation>, StorageError> {
        Self::bulk_revocations(self)
    }

    fn admin_tokens(&self) -> Result<Vec<AdminToken>, StorageError> {
        Self::admin_tokens(self)
    }

    fn secret_uses(&self) -> Result<SecretUses, StorageError> {
        Self::secret_uses(self)
    }

    fn read_all(&self, shard: ShardId, keys: &[RecordKey]) -> Result<Vec<Record>, StorageError> {
        Self::read_all(self, shard, keys)
    }
}
