//! A verifier says nothing while its records are replaced by a copy.
//!
//! The order matters: closed before the records go, so that nobody takes a missing record for a missing key; memory cleared after
//! they are gone, so that whoever read one of the old records offers it to a cell that nobody finds. A cell that is linked
//! later is filled from the copy alone, whose records are those of its position from the first cached key on.

use std::sync::atomic::Ordering;

use talos_cells::pin;

use super::Verifier;

impl Verifier {
    /// Whether every verification is refused for now.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// From now on every verification is refused.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Forgets all records. To be called when they are gone from storage.
    pub fn forget(&self) {
        if let Some(cache) = &self.cache {
            cache.clear(&pin());
        }
    }

    /// Verifies again.
    pub fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }
}
