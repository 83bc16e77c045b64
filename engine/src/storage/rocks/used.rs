//! When keys were last used: a column family of its own, since it is neither part of a record nor of any change.
//!
//! A note never reads: RocksDB merges it with what is there, and the latest use stays, whatever order they came in.

use rocksdb::{MergeOperands, ReadOptions, WriteBatch};
use talos_model::RecordKey;
use talos_model::clock::UnixMillis;

use super::families::USED;
use super::store::RocksStore;
use crate::storage::error::StorageError;
use crate::storage::rows::Rows;

impl RocksStore {
    /// When the key was last used, as far as that was written. May wait for the disk.
    #[cfg(test)]
    pub fn last_used(&self, key: &RecordKey) -> Result<Option<UnixMillis>, StorageError> {
        let bytes = self.db.get_pinned_cf(self.family(USED)?, key.as_bytes())?;
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    /// When each of the keys was last used, as far as that was written. May wait for the disk.
    pub fn last_uses(&self, keys: &[RecordKey]) -> Result<Vec<Option<UnixMillis>>, StorageError> {
        let (family, options) = (self.family(USED)?, ReadOptions::default());
        let mut found = self.values(family, keys.iter().enumerate(), &options)?;
        found.sort_unstable_by_key(|(place, ..)| *place);
        let times = found
            .into_iter()
            .map(|(_, _, bytes)| bytes.map(|bytes| decode(&bytes)).transpose());
        times.collect()
    }

    /// Notes uses in one write, which is not synced; one that is older than what is noted already changes nothing. The note of a
    /// key that does not exist is to be taken back: see [`Self::drop_use_without_key`].
    pub fn note_uses(&self, uses: &[(RecordKey, UnixMillis)]) -> Result<(), StorageError> {
        let family = self.family(USED)?;
        let mut batch = WriteBatch::default();
        for (key, time) in uses {
            batch.merge_cf(family, key.as_bytes(), time.0.to_le_bytes());
        }
        Ok(self.db.write(batch)?)
    }

    /// Forgets when the key was last used if it does not exist. May wait for the disk.
    pub fn drop_use_without_key(&self, key: &RecordKey) -> Result<(), StorageError> {
        if self.read(key)?.is_none() {
            self.drop_use(key)?;
        }
        Ok(())
    }

    /// Forgets when the key was last used.
    pub fn drop_use(&self, key: &RecordKey) -> Result<(), StorageError> {
        Ok(self.db.delete_cf(self.family(USED)?, key.as_bytes())?)
    }
}

/// What RocksDB makes of several notes of one key: the latest. What is no time counts for nothing as soon as there is one: a merge
/// that failed would stop all writes.
pub fn latest(noted: Option<&[u8]>, notes: &MergeOperands) -> Vec<u8> {
    let times = noted.into_iter().chain(notes).map(decode);
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
    use crate::storage::{self, Opened, Wanted};

    fn key(id: u128) -> RecordKey {
        RecordKey::new(TenantId::SINGLE, KeyId::Issued(Uuid::from_u128(id)))
    }

    #[test]
    fn the_latest_use_stays_in_whatever_order_they_are_noted() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let Opened { store, .. } = storage::open(scratch.path(), wanted).unwrap();
        let (rising, falling, mixed) = (key(1), key(2), key(3));
        for n in 0..100 {
            let notes = [(rising, n), (falling, 99 - n), (mixed, n * 37 % 100)];
            let notes = notes.map(|(key, time)| (key, UnixMillis(time)));
            store.note_uses(&notes).unwrap();
            if n == 50 {
                // Half of them are then read from a file.
                store.db.flush_cf(store.family(USED).unwrap()).unwrap();
            }
        }
        let noted = store.last_uses(&[rising, falling, mixed, key(4)]).unwrap();
        let latest = Some(UnixMillis(99));
        assert_eq!(noted, [latest, latest, latest, None]);
        store.drop_use(&mixed).unwrap();
        store.note_uses(&[(mixed, UnixMillis(7))]).unwrap();
        drop(store);

        let Opened { store, .. } = storage::open(scratch.path(), wanted).unwrap();
        let family = store.family(USED).unwrap();
        store
            .db
            .compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
        let noted = store.last_uses(&[rising, falling, mixed]).unwrap();
        assert_eq!(noted, [latest, latest, Some(UnixMillis(7))]);
    }

    #[test]
    fn notes_of_one_key_do_not_pile_up_in_memory() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let Opened { store, .. } = storage::open(scratch.path(), wanted).unwrap();
        for time in 0..200 {
            store.note_uses(&[(key(1), UnixMillis(time))]).unwrap();
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
    fn what_is_no_time_gives_way_to_the_next_note() {
        let scratch = tempfile::tempdir().unwrap();
        let wanted = Wanted::new(Some(1), 1 << 20);
        let Opened { store, .. } = storage::open(scratch.path(), wanted).unwrap();
        let family = store.family(USED).unwrap();
        store
            .db
            .put_cf(family, key(1).as_bytes(), b"damaged")
            .unwrap();
        assert!(store.last_uses(&[key(1)]).is_err());
        store.note_uses(&[(key(1), UnixMillis(5))]).unwrap();
        store.db.flush_cf(family).unwrap();
        assert_eq!(store.last_uses(&[key(1)]).unwrap(), [Some(UnixMillis(5))]);
    }
}
