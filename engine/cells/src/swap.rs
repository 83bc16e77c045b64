//! A shared value that every request reads and that is rarely replaced.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr;

use crate::sync::{AtomicPtr, Guard, Ordering, pin, retire};

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

    /// The current value, for a caller without a guard. It stays the same and alive until the
    /// result is dropped; do not keep it for long, because it delays the release of memory.
    #[must_use]
    #[inline]
    pub fn read(&self) -> Reading<'_, T> {
        let guard = pin();
        let value = ptr::from_ref(self.load(&guard));
        Reading {
            value,
            _guard: guard,
            _swap: PhantomData,
        }
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

/// A value that [`Swap::read`] found. It stays on its thread, so it cannot be kept across an
/// `.await` of a task that may change threads.
pub struct Reading<'a, T: Send + Sync> {
    value: *const T,
    _guard: Guard,
    _swap: PhantomData<&'a Swap<T>>,
}

impl<T: Send + Sync> Deref for Reading<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the pointer is that of a reference which `load` returned under the guard. The
        // guard keeps a replaced value alive, and the borrow of the swap keeps the current one.
        unsafe { &*self.value }
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_reader_keeps_what_it_loaded() {
        let swap = Swap::new(vec![1, 2, 3]);
        let guard = pin();
        let before = swap.load(&guard);
        swap.store(vec![4], &guard);
        assert_eq!(before, &[1, 2, 3]);
        assert_eq!(swap.load(&guard), &[4]);
        drop(guard);
        let before = swap.read();
        swap.store(vec![5], &pin());
        assert_eq!((&*before, &*swap.read()), (&vec![4], &vec![5]));
    }

    #[test]
    fn a_replaced_value_is_freed_after_its_last_reader() {
        let value = Arc::new(());
        let swap = Swap::new(Some(Arc::clone(&value)));
        let reading = swap.read();
        swap.store(None, &pin());
        // More than enough for the epoch to move on, if nothing held it.
        let collect = || (0..1000).for_each(|_| pin().flush());
        collect();
        assert_eq!(Arc::strong_count(&value), 2, "it is still being read");
        assert!(reading.is_some());
        drop(reading);
        while Arc::strong_count(&value) > 1 {
            collect();
        }
    }
}
