//! Until when a node may be sent traffic, for those who ask often: one atomic.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_replication::driver::clock::now_ms;

/// See the module. By the clock of the drivers.
#[derive(Debug, Default)]
pub(super) struct ReadinessLease(AtomicU64);

impl ReadinessLease {
    /// It may, until somebody says otherwise.
    pub(super) fn grant_forever(&self) {
        self.0.store(u64::MAX, Ordering::Release);
    }

    /// It may not.
    pub(super) fn revoke(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// It may up to this time.
    pub(super) fn grant_until(&self, until_ms: Option<u64>) {
        self.0.store(until_ms.unwrap_or(0), Ordering::Release);
    }

    /// Whether it may now.
    pub(super) fn is_valid(&self) -> bool {
        match self.0.load(Ordering::Acquire) {
            u64::MAX => true,
            0 => false,
            until => now_ms() <= until,
        }
    }
}
