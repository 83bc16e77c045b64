//! Times of last use. They have a column family of their own, because they are part of no record
//! and of no change.
//!
//! A write never reads: RocksDB merges it with the stored time and keeps the later one, in whatever
//! order they arrive.

use rocksdb::{MergeOperands, ReadOptions, WriteBatch};
use talos_model::RecordKey;
use talos_model::clock::UnixMillis;

use super::families::USED;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::record_reader::RecordReader;

impl RocksStore {
    /// The stored last use of the key. May wait for the disk.
    #[cfg(test)]
    pub fn last_used(&self, key: &RecordKey) -> Result<Option<UnixMillis>, StorageError> {
        let bytes = self.db.get_pinned_cf(self.family(USED)?, key.as_bytes())?;
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    /// The stored last use of each key. May wait for the disk.
    pub fn last_uses(&self, keys: &[RecordKey]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        let (family, options) = (self.family(USED)?, ReadOptions::default());
        let mut found = self.values(family, keys.iter().enumerate(), &options)?;
        found.sort_unstable_by_key(|(place, ..)| *place);
        let times = found
            .into_iter()
            .map(|(_, _, bytes)| bytes.map(|bytes| decode(&bytes)).transpose());
        times.collect()
    }

    /// Writes uses in one batch, not synced. A use earlier than the stored one changes nothing. The
    /// caller must then check for keys that do not exist: [`Self::delete_last_use_of_missing_key`].
    pub fn write_last_uses(&self, uses: &[(RecordKey, UnixMillis)]) -> Result<(), StorageError> {
        let family = self.family(USED)?;
        let mut batch = WriteBatch::default();
        for (key, time) in uses {
            batch.merge_cf(family, key.as_bytes(), time.0.to_le_bytes());
        }
        Ok(self.db.write(batch)?)
    }

    /// Deletes the last use of the key if the key does not exist. May wait for the disk.
    pub fn delete_last_use_of_missing_key(&self, key: &RecordKey) -> Result<(), StorageError> {
        if self.read(key)?.is_none() {
            self.delete_last_use(key)?;
        }
        Ok(())
    }

    /// Deletes the last use of the key.
    pub fn delete_last_use(&self, key: &RecordKey) -> Result<(), StorageError> {
        Ok(self.db.delete_cf(self.family(USED)?, key.as_bytes())?)
    }
}

/// Merges the uses of one key: the latest stays. A damaged value is ignored if there is a readable
/// one, because a merge that fails would stop all writes.
pub fn latest(stored: Option<&[u8]>, written: &MergeOperands) -> Vec<u8> {
    let times = stored.into_iter().chain(written).map(decode);
    let latest = times.filter_map(Result::ok).max();
    latest.map_or_else(Vec::new, |time| time.0.to_le_bytes().to_vec())
}

fn decode(millis: &[u8]) -> Result<UnixMillis, StorageError> {
    let millis = millis.try_into();
    let millis = millis.map_err(|_| StorageError::Corrupt("the time of a key's last use"))?;
    Ok(UnixMillis(i64::from_le_bytes(millis)))
}

#[cfg(test)]
mod tests {
    use rocksdb::IteratorMode;
    use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
    use talos_model::{KeyId, TenantId};
    use uuid::Uuid;

    use super::*;
    use crate::storage::{self, Wanted};

    fn key(id: u128) -> RecordKey {
        RecordKey::new(TenantId::SINGLE, KeyId::Issued(Uuid::from_u128(id)))
    }

    #[test]
    fn the_latest_use_stays_in_whatever_order_they_are_written() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let opened = storage::open(scratch.path(), wanted).unwrap();
        let store = opened.store.store();
        let (rising, falling, mixed) = (key(1), key(2), key(3));
        for n in 0..100 {
            let uses = [(rising, n), (falling, 99 - n), (mixed, n * 37 % 100)];
            let uses = uses.map(|(key, time)| (key, UnixMillis(time)));
            store.write_last_uses(&uses).unwrap();
            if n == 50 {
                // From now on half of the uses are read from a file.
                store.db.flush_cf(store.family(USED).unwrap()).unwrap();
            }
        }
        let stored = store.last_uses(&[rising, falling, mixed, key(4)]).unwrap();
        let latest = Some(UnixMillis(99));
        assert_eq!(stored, [latest, latest, latest, None]);
        store.delete_last_use(&mixed).unwrap();
        store.write_last_uses(&[(mixed, UnixMillis(7))]).unwrap();
        drop(store);
        drop(opened);

        let opened = storage::open(scratch.path(), wanted).unwrap();
        let store = opened.store.store();
        let family = store.family(USED).unwrap();
        store
            .db
            .compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        let stored = store.last_uses(&[rising, falling, mixed]).unwrap();
        assert_eq!(stored, [latest, latest, Some(UnixMillis(7))]);
    }

    #[test]
    fn uses_of_one_key_do_not_pile_up_in_memory() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let opened = storage::open(scratch.path(), wanted).unwrap();
        let store = opened.store.store();
        for time in 0..200 {
            store
                .write_last_uses(&[(key(1), UnixMillis(time))])
                .unwrap();
        }
        set_perf_stats(PerfStatsLevel::EnableCount);
        let mut context = PerfContext::default();
        context.reset();
        let family = store.family(USED).unwrap();
        let entries = store.db.iterator_cf(family, IteratorMode::Start);
        assert_eq!(entries.count(), 1);
        let merged = context.metric(PerfMetric::InternalMergeCount);
        set_perf_stats(PerfStatsLevel::Disable);
        assert!((1..=16).contains(&merged), "{merged}");
    }

    #[test]
    fn a_damaged_time_is_replaced_by_the_next_use() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let opened = storage::open(scratch.path(), wanted).unwrap();
        let store = opened.store.store();
        let family = store.family(USED).unwrap();
        store
            .db
            .put_cf(family, key(1).as_bytes(), b"damaged")
            .unwrap();
        assert!(store.last_uses(&[key(1)]).is_err());
        store.write_last_uses(&[(key(1), UnixMillis(5))]).unwrap();
        store.db.flush_cf(family).unwrap();
        assert_eq!(store.last_uses(&[key(1)]).unwrap(), [Some(UnixMillis(5))]);
    }
}
