//! Pages of keys: reads a range of the index and the records it names, from one snapshot.
//!
//! A deleted entry stays in the index until it is compacted, and a page must pass it. RocksDB
//! compacts files with many neighbouring deletions (`options.rs`). A page that passes many
//! deletions in memory has them written to a file.

use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use rocksdb::{
    ColumnFamily, DB, DBPinnableSlice, Direction, FlushOptions, IteratorMode, ReadOptions,
    SnapshotWithThreadMode, properties,
};
use talos_model::clock::UnixMillis;
use talos_model::{ListQuery, Page, Record, RecordKey};

use super::families::INDEX;
use super::store::RocksStore;
use crate::limits::{
    LIST_DELETED_ENTRIES, LIST_PAGE_BYTES, LIST_PASSED_ENTRIES, LIST_RECORDS_AT_ONCE,
};
use crate::storage::error::StorageError;
use crate::storage::format::record;
use crate::storage::index;

/// An entry of the index.
type Entry = Box<[u8]>;

/// A record that was read.
struct Read {
    /// Its index in the requested keys.
    place: usize,
    record: Record,
    bytes: usize,
}

/// The index of a key in the request, the key, and its value in RocksDB's memory.
type Valued<'k, 'v> = (usize, &'k RecordKey, Option<DBPinnableSlice<'v>>);

impl RocksStore {
    /// The page of `query`'s selection after the end of the previous page.
    pub(super) fn page(&self, query: &ListQuery, aged: UnixMillis) -> Result<Page, StorageError> {
        let snapshot = self.db.snapshot();
        let (mut entries, stopped) = self.entries(query, aged, &snapshot)?;
        let has_more = entries.len() > query.limit;
        entries.truncate(query.limit);
        let keys = entries.iter().map(|entry| index::record_key(entry));
        let keys: Vec<_> = keys
            .collect::<Option<_>>()
            .ok_or(StorageError::Corrupt("an entry of the index"))?;
        let mut records = Vec::with_capacity(keys.len());
        let mut bytes_read = 0;
        for keys in keys.chunks(LIST_RECORDS_AT_ONCE) {
            for read in self.records(keys, &snapshot)? {
                if bytes_read < LIST_PAGE_BYTES {
                    bytes_read += read.bytes;
                    records.push(read.record);
                }
            }
            if bytes_read >= LIST_PAGE_BYTES {
                break;
            }
        }
        let is_cut = has_more || records.len() < entries.len();
        entries.truncate(records.len());
        let next = if is_cut { entries.pop() } else { stopped };
        Ok(Page {
            next: next.map(<[u8]>::into_vec),
            records,
            last_used: Vec::new(),
        })
    }

    /// The index entries of the page, and the next one if there is one. If the search for more has
    /// taken too long, also the entry after which it goes on.
    fn entries(
        &self,
        query: &ListQuery,
        aged: UnixMillis,
        snapshot: &SnapshotWithThreadMode<'_, DB>,
    ) -> Result<(Vec<Entry>, Option<Entry>), StorageError> {
        // The smallest key after an entry is the entry with a zero byte appended.
        let resumed = match query.after.as_slice() {
            [] => Vec::new(),
            after => [after, &[0]].concat(),
        };
        // RocksDB counts per thread the entries that its iterators pass.
        set_perf_stats(PerfStatsLevel::EnableCount);
        let passed = || PerfContext::default().metric(PerfMetric::InternalDeleteSkippedCount);
        let passed_before = passed();
        let (mut entries, mut unwanted, mut stopped) = (Vec::new(), 0, None);
        'ranges: for (range, members) in index::ranges(&query.selection, query.now, aged) {
            let start = range.start.max(resumed.clone());
            if start >= range.end {
                continue;
            }
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound(range.end);
            let mode = IteratorMode::From(&start, Direction::Forward);
            for entry in snapshot.iterator_cf_opt(self.family(INDEX)?, options, mode) {
                let (entry, _) = entry?;
                if members.have(&entry) {
                    entries.push(entry);
                    if entries.len() > query.limit {
                        break 'ranges;
                    }
                    continue;
                }
                unwanted += 1;
                if unwanted >= LIST_PASSED_ENTRIES {
                    stopped = Some(entry);
                    break 'ranges;
                }
            }
        }
        if passed().saturating_sub(passed_before) >= LIST_DELETED_ENTRIES {
            self.flush_deleted_entries()?;
        }
        Ok((entries, stopped))
    }

    /// Flushes the index's memtable if it has many deletions. Does not wait for the flush.
    fn flush_deleted_entries(&self) -> Result<(), StorageError> {
        let family = self.family(INDEX)?;
        let name = properties::NUM_DELETES_ACTIVE_MEM_TABLE;
        let deletions = self.db.property_int_value_cf(family, name)?.unwrap_or(0);
        if deletions < LIST_DELETED_ENTRIES {
            return Ok(());
        }
        let mut options = FlushOptions::default();
        options.set_wait(false);
        // The page does not depend on it, and the next page tries again.
        if let Err(error) = self.db.flush_cf_opt(family, &options) {
            tracing::warn!(%error, "deleted entries of the index could not be written to a file");
        }
        Ok(())
    }

    /// The records of `keys`, in the order of `keys`.
    fn records(
        &self,
        keys: &[RecordKey],
        snapshot: &SnapshotWithThreadMode<'_, DB>,
    ) -> Result<Vec<Read>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_snapshot(snapshot);
        let with_shard = |(place, key)| (self.shard_of(key), place, key);
        let mut wanted: Vec<_> = keys.iter().enumerate().map(with_shard).collect();
        wanted.sort_unstable_by_key(|(shard, ..)| shard.0);
        let mut found = Vec::with_capacity(keys.len());
        for of_shard in wanted.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((shard, ..)) = of_shard.first() else {
                continue;
            };
            let family = self.shard(*shard)?;
            let wanted = of_shard.iter().map(|(_, place, key)| (*place, *key));
            for (place, key, bytes) in self.values(family, wanted, &options)? {
                let bytes = bytes.ok_or(StorageError::Corrupt(
                    "an entry of the index without its record",
                ))?;
                found.push(Read {
                    place,
                    record: record::decode(key.as_bytes(), &bytes)?,
                    bytes: bytes.len(),
                });
            }
        }
        found.sort_unstable_by_key(|read| read.place);
        Ok(found)
    }

    /// The values of many keys of one family, each with its index and key. Sorted by key, because
    /// RocksDB reads neighbouring keys faster together.
    pub(super) fn values<'k>(
        &self,
        family: &ColumnFamily,
        wanted: impl Iterator<Item = (usize, &'k RecordKey)>,
        options: &ReadOptions,
    ) -> Result<Vec<Valued<'k, '_>>, StorageError> {
        let mut wanted: Vec<_> = wanted.collect();
        wanted.sort_unstable_by_key(|(_, key)| key.as_bytes());
        let keys = wanted.iter().map(|(_, key)| key.as_bytes());
        let values = self
            .db
            .batched_multi_get_cf_opt(family, keys, true, options);
        let with_value =
            |((place, key), value): (_, Result<_, rocksdb::Error>)| Ok((place, key, value?));
        wanted.into_iter().zip(values).map(with_value).collect()
    }
}
