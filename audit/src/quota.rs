//! How much of what strangers do is noted.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_api::audit::{MinuteQuota, Notice};
use talos_model::TenantId;
use talos_model::clock::UnixMillis;

use crate::limits::{FAILURE_COUNTERS, FAILURES_PER_MINUTE, REFUSALS_PER_MINUTE};
use crate::line::Suppressed;

/// The bounds of all notices.
#[derive(Debug)]
pub(crate) struct Quotas {
    requests: MinuteQuota,
    verifications: [MinuteQuota; FAILURE_COUNTERS],
    suppressed_requests: AtomicU64,
    suppressed_verifications: AtomicU64,
}

impl Quotas {
    pub(crate) fn new() -> Self {
        Self {
            requests: MinuteQuota::default(),
            verifications: std::array::from_fn(|_| MinuteQuota::default()),
            suppressed_requests: AtomicU64::new(0),
            suppressed_verifications: AtomicU64::new(0),
        }
    }

    /// Whether to note this. If not, it is counted.
    pub(crate) fn admits(&self, notice: Notice, now: UnixMillis) -> bool {
        let admitted = match notice {
            Notice::Request => self.requests.admits(now, REFUSALS_PER_MINUTE),
            Notice::Verification(tenant) => self
                .of_tenant(tenant)
                .is_none_or(|quota| quota.admits(now, FAILURES_PER_MINUTE)),
        };
        if !admitted {
            self.suppress(notice);
        }
        admitted
    }

    /// Counts something that is not noted.
    pub(crate) fn suppress(&self, notice: Notice) {
        let counter = match notice {
            Notice::Request => &self.suppressed_requests,
            Notice::Verification(_) => &self.suppressed_verifications,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn of_tenant(&self, tenant: TenantId) -> Option<&MinuteQuota> {
        let slot = tenant.0.as_u128() % FAILURE_COUNTERS as u128;
        self.verifications.get(usize::try_from(slot).ok()?)
    }

    /// Takes the counts of what was not noted, if there are any.
    pub(crate) fn take_suppressed(&self) -> Option<Suppressed> {
        let taken = Suppressed {
            requests: self.suppressed_requests.swap(0, Ordering::Relaxed),
            verifications: self.suppressed_verifications.swap(0, Ordering::Relaxed),
        };
        (taken.requests + taken.verifications > 0).then_some(taken)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_minute_and_each_tenant_has_its_own_bound() {
        let quotas = Quotas::new();
        let admitted = |notice, now: i64, attempts: u32| {
            (0..attempts)
                .filter(|_| quotas.admits(notice, UnixMillis(now)))
                .count()
        };
        assert_eq!(admitted(Notice::Request, 60_000, 1000), 60);
        assert_eq!(admitted(Notice::Request, 119_999, 1), 0);
        assert_eq!(admitted(Notice::Request, 120_000, 1000), 60);
        let one = Notice::Verification(TenantId::SINGLE);
        let other = Notice::Verification(TenantId(Uuid::from_u128(7)));
        assert_eq!((admitted(one, 0, 99), admitted(other, 0, 99)), (10, 10));
        let suppressed = quotas.take_suppressed().expect("some");
        assert_eq!(suppressed.requests, 1000 - 60 + 1 + 1000 - 60);
        assert_eq!(suppressed.verifications, 2 * 89);
        assert!(quotas.take_suppressed().is_none());
    }

    #[test]
    fn threads_together_keep_the_bound() {
        let quotas = Quotas::new();
        let admitted: usize = std::thread::scope(|scope| {
            let count = || {
                (0..10_000)
                    .filter(|_| quotas.admits(Notice::Request, UnixMillis(0)))
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 60);
    }
}
