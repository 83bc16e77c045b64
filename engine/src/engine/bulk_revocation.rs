//! Counts of the keys that a bulk revocation ends. All methods block on disk, for seconds if
//! there are millions of keys; never call them from a core.

use talos_model::{BulkRevocation, Matcher, ReadError, Record, TenantId};

use super::Engine;
use crate::bulk_revocation::Walk;

impl Engine {
    /// How many keys of the tenant a bulk revocation with this matcher would end.
    ///
    /// # Errors
    /// If storage cannot be read, too many counts are under way, or the engine is shutting down.
    pub fn count_matching(&self, tenant: TenantId, matcher: &Matcher) -> Result<u64, ReadError> {
        let bulk_revocations = self.verifier.bulk_revocations();
        self.count(tenant, matcher, &|record| {
            record.revocation.is_none()
                && matcher.matches(record)
                && bulk_revocations.ending(record).is_none()
        })
    }

    /// How many keys a bulk revocation has ended, including those whose records are not written
    /// yet.
    ///
    /// # Errors
    /// As [`Engine::count_matching`].
    pub fn count_ended(&self, bulk_revocation: &BulkRevocation) -> Result<u64, ReadError> {
        let bulk_revocations = self.verifier.bulk_revocations();
        let is_ended = |record: &Record| {
            let ending = bulk_revocations.ending(record);
            ending.is_some_and(|ending| ending.id == bulk_revocation.id)
        };
        self.count(
            bulk_revocation.tenant,
            &bulk_revocation.matcher,
            &|record| bulk_revocation.has_ended(record) || is_ended(record),
        )
    }

    /// The number of bulk revocations in force. Takes no lock.
    #[must_use]
    pub fn bulk_revocations_in_force(&self) -> usize {
        self.verifier.bulk_revocations().len()
    }

    fn count(
        &self,
        tenant: TenantId,
        matcher: &Matcher,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<u64, ReadError> {
        if self.verifier.is_closed() {
            return Err(ReadError::Incomplete);
        }
        let reader = self.verifier.reader();
        let walk = Walk::new(&**reader, self.store.shards(), tenant, matcher);
        self.key_counter.count(walk, wanted)
    }
}
