//! Counts of the keys that a bulk revocation ends, or would end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use talos_model::{ReadError, Record};

use super::walk::Walk;
use crate::limits::BULK_REVOCATION_COUNTS;

/// Counts keys, for [`BULK_REVOCATION_COUNTS`] callers at a time.
#[derive(Debug, Default)]
pub struct KeyCounter {
    running: AtomicUsize,
    is_stopping: AtomicBool,
}

struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl KeyCounter {
    /// Counts the keys of `walk` that are `wanted`. Blocks on disk: it reads all keys of the
    /// tenant, unless the walk is limited to one actor.
    pub fn count(
        &self,
        mut walk: Walk<'_>,
        wanted: &dyn Fn(&Record) -> bool,
    ) -> Result<u64, ReadError> {
        let more = |running: usize| (running < BULK_REVOCATION_COUNTS).then_some(running + 1);
        let taken = self
            .running
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        let taken = taken.map_err(|_| ReadError::Busy);
        let _permit = taken.map(|_| Permit(&self.running))?;
        let mut count = 0;
        loop {
            if self.is_stopping.load(Ordering::Relaxed) {
                return Err(ReadError::Busy);
            }
            let stretch = walk.next(wanted);
            match stretch.map_err(|error| ReadError::Storage(error.to_string()))? {
                Some(keys) => count += keys.len() as u64,
                None => return Ok(count),
            }
        }
    }

    /// Ends all counts that are under way, and refuses new ones.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }
}
