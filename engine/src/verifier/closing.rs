//! Closing the verifier while a copy replaces its records.
//!
//! The order matters. The verifier is closed before the records are deleted, so that a missing
//! record is not taken for a missing key. Memory is cleared after the records are deleted, so that
//! a reader that still has an old record offers it to a cell that no look-up finds. A cell that is
//! linked later is filled from the copy alone; its records are those at the copy's position.

use std::sync::atomic::Ordering;

use talos_cells::pin;

use super::Verifier;

impl Verifier {
    /// Whether every verification is refused.
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Refuses every verification from now on.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    /// Removes all cells and proofs. Call it after the records are deleted from storage.
    pub fn forget(&self) {
        if let Some(cache) = &self.cache {
            cache.clear(&pin());
        }
    }

    /// Accepts verifications again.
    pub fn open(&self) {
        self.is_closed.store(false, Ordering::SeqCst);
    }
}
