//! Bulk revocations in force, and records with their effect.
//!
//! A reader takes the bulk revocations before it reads storage. So every bulk revocation that was
//! in force when the request arrived is among them.

use talos_cells::pin;
use talos_model::clock::UnixMillis;
use talos_model::{
    BulkRevocation, BulkRevocations, Event, KeyKind, ListQuery, Page, Record, RecordKey, Selection,
    Status, TenantId,
};

use super::Verifier;
use crate::cached_key::Current;
use crate::limits::LIST_RANGES;
use crate::storage::{StorageError, moved};
use crate::tenants::Tenants;

impl Verifier {
    /// The current bulk revocations.
    pub fn bulk_revocations(&self) -> BulkRevocations {
        self.current.load(&pin()).bulk_revocations.clone()
    }

    /// Adds a bulk revocation that is durable, or removes one that is carried out. When this
    /// returns, every answer takes account of it.
    pub(super) fn publish_bulk_revocation(&self, event: Event, bulk_revocation: &BulkRevocation) {
        self.change(|current| Current {
            bulk_revocations: match event {
                Event::BulkRevocationCompleted => current.bulk_revocations.without(bulk_revocation),
                _ => current.bulk_revocations.with(bulk_revocation.clone()),
            },
            tenants: current.tenants.clone(),
        });
    }

    /// Sets the bulk revocations after a full copy was installed. Voids all proofs and cached keys:
    /// they belong to the data before the copy.
    pub fn begin_bulk_revocations(&self, bulk_revocations: BulkRevocations) {
        self.change(|current| Current {
            bulk_revocations,
            tenants: current.tenants.renewed(),
        });
    }

    /// All tenants.
    pub fn tenants(&self) -> Tenants {
        self.current.load(&pin()).tenants.clone()
    }

    /// The greatest age of an issued key in seconds. The keys of a tenant that is not configured
    /// have none.
    fn max_ttl_s(&self, tenant: TenantId) -> u64 {
        let guard = pin();
        let tenant = self.current.load(&guard).tenants.get(tenant);
        tenant.map_or(u64::MAX, |tenant| tenant.keyring().max_ttl_s())
    }

    /// The record of a key, with the effect of the bulk revocations and of its greatest age. Blocks
    /// on disk.
    pub fn record(&self, key: &RecordKey) -> Result<Option<Record>, StorageError> {
        let bulk_revocations = self.bulk_revocations();
        let record = self.reader.read(key)?;
        let max_ttl_s = self.max_ttl_s(key.tenant());
        Ok(record.map(|record| bulk_revocations.apply(record).ending_within(max_ttl_s)))
    }

    /// A page of keys, with the effect of the bulk revocations and of their greatest age. Blocks on
    /// disk. While bulk revocations are in force, or among keys that have reached their greatest
    /// age before their expiry time, a page may be shorter than its limit.
    pub fn page(&self, query: &ListQuery) -> Result<Page, StorageError> {
        let max_ttl_s = self.max_ttl_s(query.selection.tenant);
        let max_ttl_ms = i64::try_from(max_ttl_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let aged = match query.selection.kind {
            KeyKind::Issued => UnixMillis(query.now.0.saturating_sub(max_ttl_ms)),
            KeyKind::Imported => UnixMillis(i64::MIN),
        };
        let page = self.page_of_aged(query, aged)?;
        let records = page.records.into_iter();
        let records = records.map(|record| record.ending_within(max_ttl_s));
        Ok(Page {
            records: records.collect(),
            ..page
        })
    }

    fn page_of_aged(&self, query: &ListQuery, aged: UnixMillis) -> Result<Page, StorageError> {
        let bulk_revocations = self.bulk_revocations();
        let selection = &query.selection;
        if !bulk_revocations.concern_tenant(selection.tenant) {
            return self.reader.list(query, aged);
        }
        let wanted = selection.status;
        if wanted != Some(Status::Revoked) {
            return self.remaining(query.clone(), aged, wanted, &bulk_revocations);
        }
        // The index still lists the keys that a bulk revocation ended, but whose records are not
        // written yet, as not revoked. All keys and the revoked keys are in the same order, so a
        // page of either list can continue after the end of a page of the other.
        let all = Selection {
            status: None,
            ..selection.clone()
        };
        let place = |entry: &[u8], from, to| moved(entry, from, to).unwrap_or_default();
        let all_keys = ListQuery {
            after: place(&query.after, selection, &all),
            selection: all.clone(),
            ..query.clone()
        };
        let mut page = self.remaining(all_keys, aged, wanted, &bulk_revocations)?;
        page.next = page.next.map(|next| place(&next, &all, selection));
        Ok(page)
    }

    /// The keys of the selection that still belong to it once the bulk revocations take effect.
    fn remaining(
        &self,
        mut query: ListQuery,
        aged: UnixMillis,
        wanted: Option<Status>,
        bulk_revocations: &BulkRevocations,
    ) -> Result<Page, StorageError> {
        let limit = query.limit;
        let is_wanted = |record: &Record| match wanted {
            None => true,
            Some(Status::Revoked) => record.revocation.is_some(),
            Some(Status::Active | Status::Expired) => record.revocation.is_none(),
        };
        let mut records = Vec::new();
        for _ in 0..LIST_RANGES {
            let range = self.reader.list(&query, aged)?;
            let is_cut = range.records.len() < query.limit;
            let applied = range
                .records
                .into_iter()
                .map(|record| bulk_revocations.apply(record));
            records.extend(applied.filter(is_wanted));
            query.limit = limit.saturating_sub(records.len());
            query.after = range.next.unwrap_or_default();
            if query.after.is_empty() || query.limit == 0 || is_cut {
                break;
            }
        }
        Ok(Page {
            records,
            next: Some(query.after).filter(|next| !next.is_empty()),
            last_used: Vec::new(),
        })
    }
}
