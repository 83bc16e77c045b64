//! Scans the records of a shard, one page at a time.

use rocksdb::{Direction, IteratorMode, ReadOptions};
use talos_model::{Record, RecordKey, ShardId, TenantId};

use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::format::record;
use crate::storage::record_reader::ScanPage;

impl RocksStore {
    pub(super) fn scan(
        &self,
        shard: ShardId,
        tenant: Option<TenantId>,
        after: &[u8],
        limit: usize,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<ScanPage, StorageError> {
        let family = self.shard(shard)?;
        let tenant = tenant.map(|TenantId(tenant)| tenant.into_bytes());
        let of_tenant = tenant.as_ref().map_or([].as_slice(), <[u8; 16]>::as_slice);
        // The smallest key after another is that key with a zero byte appended.
        let start = if after.is_empty() {
            of_tenant.to_vec()
        } else {
            [after, &[0]].concat()
        };
        let mode = IteratorMode::From(&start, Direction::Forward);
        let mut page = ScanPage::default();
        for entry in self.db.iterator_cf(family, mode).take(limit) {
            let (key, value) = entry?;
            if !key.starts_with(of_tenant) {
                break;
            }
            if let Some((tenant, key_id)) = RecordKey::split(&key) {
                let record = record::decode(&key, &value)?;
                if wanted(&record) {
                    page.keys.push(RecordKey::new(tenant, key_id));
                }
            }
            page.end = Some(key.into_vec());
        }
        Ok(page)
    }

    pub(super) fn read_all(
        &self,
        shard: ShardId,
        keys: &[RecordKey],
    ) -> Result<Vec<Record>, StorageError> {
        let options = ReadOptions::default();
        let values = self.values(self.shard(shard)?, keys.iter().enumerate(), &options)?;
        let found = values
            .into_iter()
            .filter_map(|(_, key, bytes)| Some((key, bytes?)));
        found
            .map(|(key, bytes)| record::decode(key.as_bytes(), &bytes))
            .collect()
    }
}
