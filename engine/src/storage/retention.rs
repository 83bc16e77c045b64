//! How much of the change log is kept.

use std::time::Duration;

use crate::limits::{LOG_RETENTION_BYTES, LOG_RETENTION_MS, RECOVERY_CHECKED_CHANGES};

/// The bounds of the change log.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Changes older than this many milliseconds may be dropped.
    pub(crate) age_ms: i64,
    /// The oldest changes are dropped until the rest takes about this many bytes.
    pub(crate) bytes: u64,
    /// The newest changes that always stay.
    pub(crate) changes_min: u64,
}

impl Retention {
    /// Drops changes older than `age`, and the oldest ones until the rest takes about `bytes`.
    #[must_use]
    pub fn new(age: Duration, bytes: u64) -> Self {
        Self {
            age_ms: i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
            bytes,
            changes_min: RECOVERY_CHECKED_CHANGES as u64,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age_ms: LOG_RETENTION_MS,
            bytes: LOG_RETENTION_BYTES,
            changes_min: RECOVERY_CHECKED_CHANGES as u64,
        }
    }
}
