//! How many refused credentials get a line in the log: so few that strangers cannot fill it.

use talos_api::audit::MinuteQuota;
use talos_model::TenantId;
use talos_model::clock::UnixMillis;

use crate::limits::{FAILURE_COUNTERS, LOGGED_FAILURES_PER_MINUTE};

/// Counts the lines of each tenant.
#[derive(Debug)]
pub(crate) struct FailureQuota([MinuteQuota; FAILURE_COUNTERS]);

impl FailureQuota {
    /// No line was written yet.
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| MinuteQuota::default()))
    }

    /// Whether one more line of `tenant` may be written in this minute. Tenants that share a
    /// counter share its bound.
    pub(crate) fn admits(&self, tenant: TenantId, now: UnixMillis) -> bool {
        let slot = tenant.0.as_u128() % FAILURE_COUNTERS as u128;
        let quota = usize::try_from(slot).ok().and_then(|slot| self.0.get(slot));
        quota.is_some_and(|quota| quota.admits(now, LOGGED_FAILURES_PER_MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_ten_lines_a_minute() {
        let quota = FailureQuota::new();
        let admitted = |tenant, now| {
            let attempts = 0..99;
            attempts
                .filter(|_| quota.admits(tenant, UnixMillis(now)))
                .count()
        };
        let other = TenantId(uuid::Uuid::from_u128(7));
        assert_eq!(
            (admitted(TenantId::SINGLE, 0), admitted(other, 0)),
            (10, 10)
        );
        assert_eq!(admitted(TenantId::SINGLE, 59_999), 0);
        assert_eq!(admitted(TenantId::SINGLE, 60_000), 10);
    }
}
