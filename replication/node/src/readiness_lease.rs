//! The time until which a node may receive traffic, in one atomic, because every request checks it.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_replication::driver::clock::now_ms;

/// A deadline by [`now_ms`].
#[derive(Debug, Default)]
pub(super) struct ReadinessLease(AtomicU64);

impl ReadinessLease {
    /// Grants the lease without a deadline.
    pub(super) fn grant_forever(&self) {
        self.0.store(u64::MAX, Ordering::Release);
    }

    /// Revokes the lease.
    pub(super) fn revoke(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Grants the lease until this time; `None` revokes it.
    pub(super) fn grant_until(&self, until_ms: Option<u64>) {
        self.0.store(until_ms.unwrap_or(0), Ordering::Release);
    }

    /// Whether the lease is valid now.
    pub(super) fn is_valid(&self) -> bool {
        match self.0.load(Ordering::Acquire) {
            u64::MAX => true,
            0 => false,
            until => now_ms() <= until,
        }
    }
}
