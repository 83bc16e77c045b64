//! Pages of keys, from a range of the index and the records that it names, all of one moment.

use rocksdb::{IteratorMode, ReadOptions};

use super::rocks::{INDEX, RocksStore};
use super::{ListQuery, Page, StorageError, index, record_format};
use crate::limits::LIST_PAGE_BYTES;

impl RocksStore {
    /// The keys of `query`'s selection after where the page before ended.
    pub(super) fn page(&self, query: &ListQuery) -> Result<Page, StorageError> {
        let range = query.selection.range(query.now);
        // The key right after an entry is the entry and a zero byte.
        let resumed = [query.after.as_slice(), &[0]].concat();
        let start = if query.after.is_empty() {
            range.start
        } else {
            range.start.max(resumed)
        };
        if start >= range.end {
            return Ok(Page {
                records: Vec::new(),
                next: None,
                last_used: Vec::new(),
            });
        }
        let snapshot = self.db.snapshot();
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(range.end);
        let mode = IteratorMode::From(&start, rocksdb::Direction::Forward);
        let mut entries = snapshot.iterator_cf_opt(self.family(INDEX)?, options, mode);
        let mut page = Page {
            records: Vec::with_capacity(query.limit.min(1024)),
            next: None,
            last_used: Vec::new(),
        };
        let mut last: Option<Box<[u8]>> = None;
        let mut bytes_read = 0;
        for entry in entries.by_ref() {
            let (entry, _) = entry?;
            if page.records.len() == query.limit || bytes_read >= LIST_PAGE_BYTES {
                page.next = last.map(<[u8]>::into_vec);
                break;
            }
            let key =
                index::record_key(&entry).ok_or(StorageError::Corrupt("an entry of the index"))?;
            let shard = self.shard(self.shard_of(&key))?;
            let bytes =
                snapshot
                    .get_pinned_cf(shard, key.as_bytes())?
                    .ok_or(StorageError::Corrupt(
                        "an entry of the index without its record",
                    ))?;
            bytes_read += bytes.len();
            page.records
                .push(record_format::decode(key.as_bytes(), &bytes)?);
            last = Some(entry);
        }
        Ok(page)
    }
}
