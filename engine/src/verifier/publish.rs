//! Changes of what verifications use: durable changes of records, and other tenants.

use std::sync::{Arc, PoisonError};

use talos_cells::{Guard, pin};
use talos_credentials::Tenant;
use talos_model::clock::UnixMillis;
use talos_model::{BulkRevocations, Change, Record, RecordKey, Subject};

use super::Verifier;
use crate::cached_key::{CachedKey, Current};
use crate::usage::Usage;

impl Verifier {
    /// Replaces all tenants, and voids every proof under a keyring that is not the same object any
    /// more. When this returns, no verification that begins uses a tenant as it was.
    pub fn set_tenants(&self, tenants: Vec<Arc<Tenant>>) {
        self.change(|current| Current {
            bulk_revocations: current.bulk_revocations.clone(),
            tenants: current.tenants.replaced_by(tenants),
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
        let tenants = &self.current.load(&guard).tenants;
        let cached = || {
            if change.deletes() {
                CachedKey::forgotten(record, tenants.get(record.tenant), now)
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
        let tenants = &self.current.load(guard).tenants;
        let tenant = tenants.get(record.tenant);
        let cached = CachedKey::new(record, bulk_revocations, tenant, self.render, now);
        match tenant {
            Some(tenant) if tenant.enforces_rate_limits() => self.usage.metered(key, cached, guard),
            _ => Usage::unmetered(cached),
        }
    }
}
