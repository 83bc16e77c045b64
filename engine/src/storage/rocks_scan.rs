//! A walk over the records of a shard, a stretch at a time.

use rocksdb::{Direction, IteratorMode, ReadOptions};

use super::rocks::RocksStore;
use super::{RecordKey, StorageError, Stretch, record_format};
use crate::clock::UnixMillis;
use crate::ids::ShardId;
use crate::record::{Record, Status};

impl RocksStore {
    pub(super) fn scan(
        &self,
        shard: ShardId,
        after: &[u8],
        limit: usize,
        now: UnixMillis,
    ) -> Result<Stretch, StorageError> {
        let family = self.shard(shard)?;
        // The key right after another is that one and a zero byte.
        let start = [after, &[0]].concat();
        let mode = if after.is_empty() {
            IteratorMode::Start
        } else {
            IteratorMode::From(&start, Direction::Forward)
        };
        let mut stretch = Stretch::default();
        for entry in self.db.iterator_cf(family, mode).take(limit) {
            let (key, value) = entry?;
            if let Some((tenant, key_id)) = RecordKey::split(&key) {
                let record = record_format::decode(&key, &value)?;
                if record.status(now) == Status::Active {
                    stretch.in_force.push(RecordKey::new(tenant, key_id));
                }
            }
            stretch.end = Some(key.into_vec());
        }
        Ok(stretch)
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
            .map(|(key, bytes)| record_format::decode(key.as_bytes(), &bytes))
            .collect()
    }
}
