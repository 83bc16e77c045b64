//! Changes of what verifications use: durable changes of records, and a new keyring.

use std::sync::{Arc, PoisonError};

use talos_cells::{Guard, pin};
use talos_credentials::Keyring;
use talos_model::clock::UnixMillis;
use talos_model::{BulkRevocations, Change, Record, RecordKey, Subject};

use super::Verifier;
use crate::cached_key::{CachedKey, Current};

impl Verifier {
    /// Replaces the keyring and voids every proof.
    pub fn set_keyring(&self, keyring: Keyring) {
        self.change(|current| Current {
            generation: current.generation + 1,
            bulk_revocations: current.bulk_revocations.clone(),
            keyring: Arc::new(keyring),
        });
    }

    pub(super) fn change(&self, change: impl FnOnce(&Current) -> Current) {
        let _serialized = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let guard = pin();
        let changed = change(self.current.load(&guard));
        self.current.store(changed, &guard);
    }

    /// Publishes a durable change to the cells. When this returns, no answer comes from an earlier
    /// state.
    pub fn publish(&self, change: &Change, now: UnixMillis) {
        let record = match &change.subject {
            Subject::Key(record) => record,
            Subject::BulkRevocation(bulk_revocation) => {
                return self.publish_bulk_revocation(change.event, bulk_revocation);
            }
            // Verifications do not use admin tokens.
            Subject::AdminToken(_) => return,
        };
        let Some(cache) = &self.cache else { return };
        let key = RecordKey::new(record.tenant, record.key_id);
        let guard = pin();
        let current = self.current.load(&guard);
        let cached = || {
            if change.deletes() {
                CachedKey::forgotten(record, current, now)
            } else {
                // A bulk revocation never ends a record that is newer than itself.
                self.cached(&key, record, &BulkRevocations::default(), now, &guard)
            }
        };
        cache.publish(&key, self.shards.hash(&key), &guard, cached);
    }

    /// The cached key of `record`, which was read under `bulk_revocations` and has their effect.
    pub(super) fn cached(
        &self,
        key: &RecordKey,
        record: &Record,
        bulk_revocations: &BulkRevocations,
        now: UnixMillis,
        guard: &Guard,
    ) -> CachedKey {
        let cached = CachedKey::new(
            record,
            bulk_revocations,
            self.current.load(guard),
            self.render,
            now,
        );
        self.usage.metered(key, cached, guard)
    }
}
