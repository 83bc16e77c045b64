//! A shared value that every request reads and that is rarely replaced.

use std::ptr;

use crate::sync::{AtomicPtr, Guard, Ordering, retire};

/// A shared value that is replaced as a whole. Readers never block.
#[derive(Debug)]
pub struct Swap<T: Send + Sync> {
    value: AtomicPtr<T>,
}

impl<T: Send + Sync> Swap<T> {
    /// Holds `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self {
            value: AtomicPtr::new(Box::into_raw(Box::new(value))),
        }
    }

    /// The current value. It stays alive as long as the guard.
    pub fn load<'g>(&self, _guard: &'g Guard) -> &'g T {
        // SAFETY: the pointer always comes from `Box::into_raw`. A replaced pointer is freed only
        // through `retire`, after every guard that was pinned by then is gone.
        unsafe { &*self.value.load(Ordering::Acquire) }
    }

    /// Replaces the value.
    pub fn store(&self, value: T, guard: &Guard) {
        let replaced = self
            .value
            .swap(Box::into_raw(Box::new(value)), Ordering::AcqRel);
        // SAFETY: only this thread swapped the pointer out, and `T` may be dropped on any thread.
        unsafe { retire(guard, move || drop(Box::from_raw(replaced))) }
    }
}

impl<T: Send + Sync> Drop for Swap<T> {
    fn drop(&mut self) {
        let value = self.value.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: exclusive access; the pointer came from `Box::into_raw`.
        drop(unsafe { Box::from_raw(value) });
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::sync::pin;

    #[test]
    fn a_reader_keeps_what_it_loaded() {
        let swap = Swap::new(vec![1, 2, 3]);
        let guard = pin();
        let before = swap.load(&guard);
        swap.store(vec![4], &guard);
        assert_eq!(before, &[1, 2, 3]);
        assert_eq!(swap.load(&guard), &[4]);
    }
}
