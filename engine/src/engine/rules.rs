//! How many keys a revocation of many ends. What waits here, waits for the disk, and for seconds when there are millions of keys: none
//! of it belongs on a thread that must not.

use talos_model::{Matcher, ReadError, Record, Rule, TenantId};

use super::Engine;
use crate::bulk_revocation::Walk;

impl Engine {
    /// How many keys of the tenant a revocation of those that match would end.
    ///
    /// # Errors
    /// When storage cannot be read, too many counts are under way, or the engine is shutting down.
    pub fn count_matching(&self, tenant: TenantId, matcher: &Matcher) -> Result<u64, ReadError> {
        let rules = self.verifier.rules();
        self.count(tenant, matcher, &|record| {
            record.revocation.is_none() && matcher.matches(record) && rules.ending(record).is_none()
        })
    }

    /// How many keys a rule has ended, whether their records have followed or not.
    ///
    /// # Errors
    /// As [`Engine::count_matching`].
    pub fn count_ended(&self, rule: &Rule) -> Result<u64, ReadError> {
        let rules = self.verifier.rules();
        let ends = |record: &Record| {
            let ending = rules.ending(record);
            ending.is_some_and(|ending| ending.id == rule.id)
        };
        self.count(rule.tenant, &rule.matcher, &|record| {
            rule.has_ended(record) || ends(record)
        })
    }

    /// How many revocations of many keys are under way, for tests that wait for them.
    #[cfg(test)]
    pub(crate) fn rules_in_force(&self) -> usize {
        self.verifier.rules().len()
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
        let rows = self.verifier.rows();
        let walk = Walk::new(&**rows, self.store.shards(), tenant, matcher);
        self.counts.count(walk, wanted)
    }
}
