//! Counts the active keys that were issued in a span of time. Reads the index alone.

use rocksdb::{Direction, IteratorMode, ReadOptions};
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, SecretUse, Selection, Status};

use super::families::INDEX;
use super::store::RocksStore;
use crate::limits::MADE_KEYS_PASSED;
use crate::secrets::KeyCount;
use crate::storage::error::StorageError;
use crate::storage::index;

impl RocksStore {
    /// How many keys of the tenant were issued while a secret signed and are active at `now`, if
    /// keys live for `max_ttl_s` at most. A key that a bulk revocation has ended counts until its
    /// record is written.
    pub(crate) fn active_keys_made(
        &self,
        during: &SecretUse,
        now: UnixMillis,
        max_ttl_s: u64,
    ) -> Result<KeyCount, StorageError> {
        let max_ttl_ms = i64::try_from(max_ttl_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let aged = UnixMillis(now.0.saturating_sub(max_ttl_ms));
        let is_made_then = |entry: &[u8]| {
            let created = index::created(entry);
            created.is_some_and(|created| (during.first..=during.end()).contains(&created))
        };
        let selection = Selection {
            tenant: during.tenant,
            kind: KeyKind::Issued,
            actor_id: None,
            status: Some(Status::Active),
        };
        let (mut count, mut passed) = (0, 0);
        for (range, members) in index::ranges(&selection, now, aged) {
            if range.start >= range.end {
                continue;
            }
            let mut options = ReadOptions::default();
            options.fill_cache(false);
            options.set_iterate_upper_bound(range.end);
            let mode = IteratorMode::From(&range.start, Direction::Forward);
            for entry in self.db.iterator_cf_opt(self.family(INDEX)?, options, mode) {
                let (entry, _) = entry?;
                if passed >= MADE_KEYS_PASSED {
                    return Ok(KeyCount::AtLeast(count));
                }
                passed += 1;
                count += u64::from(members.have(&entry) && is_made_then(&entry));
            }
        }
        Ok(KeyCount::Exactly(count))
    }
}
