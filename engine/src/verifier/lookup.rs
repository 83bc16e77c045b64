//! Looking up the record of a key in memory: in the cells, then in RocksDB's memory.

use std::sync::Arc;

use talos_cells::{Guard, State};
use talos_model::clock::UnixMillis;
use talos_model::{CacheMode, Query, RecordKey};

use super::found::Found;
use super::{ReadRequest, Verifier};
use crate::cache::KeyCell;
use crate::cached_key::{CachedKey, View};
use crate::storage::{InMemory, StorageError};

impl Verifier {
    /// Looks for the record of `key` in the cells, then in the memory of RocksDB. `request` makes
    /// the request to read it, with the cell to fill.
    pub(super) fn find(
        &self,
        query: &Query<'_>,
        key: RecordKey,
        view: View<'_>,
        request: impl Fn(Option<Arc<KeyCell>>) -> ReadRequest,
        guard: &Guard,
    ) -> Result<Found, StorageError> {
        let Some(cache) = self.cache.as_ref().filter(|_| query.cache.writes_cache()) else {
            return Ok(Found::new(self.reader.in_memory(&key)?, request(None)));
        };
        let hash = self.shards.hash(&key);
        if let Some(cell) = cache.cell(&key, hash, guard) {
            cell.touch();
            let usable = query.cache == CacheMode::Use;
            if usable && Self::fresh_key(&cell, view, query.now, guard).is_some() {
                return Ok(Found::InCell(cell));
            }
            return Ok(Found::new(
                self.reader.in_memory(&key)?,
                request(Some(cell)),
            ));
        }
        // Unknown keys get no cell: a flood of them must not evict keys that are in use.
        let first = self.reader.in_memory(&key)?;
        if first == InMemory::Absent {
            return Ok(Found::Record(None, request(None)));
        }
        // The cell must be linked before the read that fills it. The record read above may be
        // outdated by now, so it is read again.
        let request = request(Some(cache.link(key, hash, guard)));
        match first {
            InMemory::Unknown => Ok(Found::OnDisk(request)),
            InMemory::Found(_) | InMemory::Absent => {
                Ok(Found::new(self.reader.in_memory(&key)?, request))
            }
        }
    }

    pub(super) fn fresh_key<'g>(
        cell: &KeyCell,
        view: View<'_>,
        now: UnixMillis,
        guard: &'g Guard,
    ) -> Option<&'g CachedKey> {
        match cell.load(guard) {
            State::Value(cached) => cached.is_fresh(cell.key(), view, now).then_some(cached),
            State::Vacant | State::Detached => None,
        }
    }
}
