//! The atomics and the memory reclamation of this crate. In production: the standard library's
//! atomics and crossbeam's epochs. When interleavings are explored: the atomics of the shuttle
//! scheduler, and no reclamation.

#[cfg(not(feature = "shuttle"))]
mod real {
    pub use crossbeam::epoch::{Guard, pin};
    pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};

    /// Calls `drop_it` when no thread that is pinned now can still hold a reference.
    ///
    /// # Safety
    /// What `drop_it` frees must be unreachable for threads that pin from now on, and `drop_it`
    /// must be safe to call on another thread.
    pub unsafe fn retire(guard: &Guard, drop_it: impl FnOnce()) {
        // SAFETY: the caller's promise is the requirement of `defer_unchecked`.
        unsafe { guard.defer_unchecked(drop_it) }
    }
}

#[cfg(feature = "shuttle")]
mod explored {
    pub use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};

    /// Stands for a pinned epoch. Nothing is reclaimed during an exploration.
    #[derive(Debug)]
    pub struct Guard(());

    /// Begins a read.
    #[must_use]
    pub fn pin() -> Guard {
        Guard(())
    }

    /// Leaks what would be freed: an exploration is short and does not look for faults of the
    /// reclamation.
    ///
    /// # Safety
    /// No requirement. The function is `unsafe` only to have the signature of the real one.
    pub unsafe fn retire(_guard: &Guard, drop_it: impl FnOnce()) {
        std::mem::forget(drop_it);
    }
}

#[cfg(feature = "shuttle")]
pub(crate) use explored::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence, retire};
#[cfg(feature = "shuttle")]
pub use explored::{Guard, pin};
#[cfg(not(feature = "shuttle"))]
pub(crate) use real::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence, retire};
#[cfg(not(feature = "shuttle"))]
pub use real::{Guard, pin};
