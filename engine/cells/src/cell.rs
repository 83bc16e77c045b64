//! The newest known value of one key.
//!
//! A cell begins vacant, takes values of rising rank, and ends detached. It never goes back: not to
//! an older value, not to vacant, and a detached cell stays detached.

use std::ptr;

use crate::budget::Budget;
use crate::sync::{AtomicBool, AtomicPtr, Guard, Ordering, retire};
use crate::table::Entry;

/// An immutable value of a key.
pub trait CellValue: Send + Sync {
    /// Whether this value replaces `current`. Must be a strict order, and a value of a greater
    /// sequence must supersede one of a smaller sequence.
    fn supersedes(&self, current: &Self) -> bool;

    /// The memory of the value in bytes. Must always return the same number.
    fn bytes(&self) -> usize;
}

/// The newest value of the key `K`, swapped atomically.
#[derive(Debug)]
pub struct Cell<K, R> {
    key: K,
    value: AtomicPtr<R>,
    referenced: AtomicBool,
}

/// What a cell holds.
#[derive(Debug)]
pub enum State<'g, R> {
    /// No value yet: the caller must read it from storage and offer it.
    Vacant,
    /// The newest known value.
    Value(&'g R),
    /// No value ever again: the caller must make a new cell.
    Detached,
}

/// What became of an offered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The value is the newest now.
    Taken,
    /// The cell holds a newer value, or one of the same rank.
    Outdated,
    /// The cell is detached.
    Detached,
}

/// The address that marks a detached cell. No allocation has the address 1.
fn detached<R>() -> *mut R {
    ptr::without_provenance_mut(1)
}

impl<K, R: CellValue> Cell<K, R> {
    /// A vacant cell.
    #[must_use]
    pub fn vacant(key: K) -> Self {
        Self {
            key,
            value: AtomicPtr::new(ptr::null_mut()),
            referenced: AtomicBool::new(true),
        }
    }

    /// The key of the cell.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// The state of the cell. Never blocks.
    pub fn load<'g>(&self, guard: &'g Guard) -> State<'g, R> {
        let value = self.value.load(Ordering::Acquire);
        Self::state(value, guard)
    }

    /// Whether the cell is detached. Look-ups skip such cells, because they are about to be
    /// unlinked.
    pub fn is_detached(&self) -> bool {
        self.value.load(Ordering::Acquire) == detached()
    }

    /// Marks the cell as used, so that the next round of eviction spares it.
    pub fn touch(&self) {
        // Store only if the flag changes: otherwise cores that read the line would lose their copy
        // of it.
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
    }

    /// Stores `value` if it supersedes the current one, and charges its bytes to `budget`.
    pub fn offer(&self, value: R, budget: &Budget, guard: &Guard) -> Offer {
        let bytes = value.bytes();
        let offered = Box::into_raw(Box::new(value));
        let mut current = self.value.load(Ordering::Acquire);
        loop {
            let refused = match Self::state(current, guard) {
                State::Vacant => None,
                // SAFETY: `offered` comes from `Box::into_raw` above, and no other thread sees it
                // before the exchange succeeds.
                State::Value(held) if unsafe { &*offered }.supersedes(held) => None,
                State::Value(_) => Some(Offer::Outdated),
                State::Detached => Some(Offer::Detached),
            };
            if let Some(refused) = refused {
                // SAFETY: `offered` comes from `Box::into_raw` above, and the exchange did not
                // succeed: this thread is the only owner.
                drop(unsafe { Box::from_raw(offered) });
                return refused;
            }
            match self
                .value
                .compare_exchange(current, offered, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(replaced) => {
                    budget.charge(bytes);
                    Self::release(replaced, budget, guard);
                    return Offer::Taken;
                }
                Err(newer) => current = newer,
            }
        }
    }

    /// Empties the cell for good. Threads that still point to it see [`State::Detached`].
    pub fn detach(&self, budget: &Budget, guard: &Guard) {
        let held = self.value.swap(detached(), Ordering::AcqRel);
        Self::release(held, budget, guard);
    }

    fn state(value: *mut R, _guard: &Guard) -> State<'_, R> {
        if value.is_null() {
            State::Vacant
        } else if value == detached() {
            State::Detached
        } else {
            // SAFETY: a pointer that is neither null nor the mark came from `Box::into_raw` in
            // `offer`. It is freed only through `retire` after it was swapped out, so it outlives
            // every guard that was pinned before, including this one.
            State::Value(unsafe { &*value })
        }
    }

    fn release(value: *mut R, budget: &Budget, guard: &Guard) {
        if let State::Value(held) = Self::state(value, guard) {
            budget.release(held.bytes());
            // SAFETY: the caller has swapped the pointer out, so no other thread finds it from now
            // on, and only one caller can swap it out. Values are `Send`.
            unsafe { retire(guard, move || drop(Box::from_raw(value))) }
        }
    }
}

impl<K: Send + Sync, R: CellValue> Entry for Cell<K, R> {
    fn retire(&self, budget: &Budget, guard: &Guard) {
        self.detach(budget, guard);
    }

    fn take_reference(&self) -> bool {
        self.referenced.load(Ordering::Relaxed) && self.referenced.swap(false, Ordering::Relaxed)
    }
}

impl<K, R> Drop for Cell<K, R> {
    fn drop(&mut self) {
        let value = self.value.load(Ordering::Relaxed);
        if !value.is_null() && value != detached() {
            // SAFETY: exclusive access; the pointer came from `Box::into_raw` and was not swapped
            // out.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

// SAFETY: the pointer owns an `R`, which any thread may read and drop.
unsafe impl<K: Send, R: CellValue> Send for Cell<K, R> {}
// SAFETY: the pointer owns an `R`, which any thread may read and drop; all access to the pointer is
// atomic.
unsafe impl<K: Sync, R: CellValue> Sync for Cell<K, R> {}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;
    use crate::sync::pin;

    #[derive(Debug, PartialEq)]
    struct At(u64);

    impl CellValue for At {
        fn supersedes(&self, current: &Self) -> bool {
            self.0 > current.0
        }

        fn bytes(&self) -> usize {
            100
        }
    }

    fn held(cell: &Cell<(), At>) -> Option<u64> {
        match cell.load(&pin()) {
            State::Value(value) => Some(value.0),
            State::Vacant | State::Detached => None,
        }
    }

    #[test]
    fn an_older_row_never_replaces_a_newer_one() {
        let (cell, budget, guard) = (Cell::vacant(()), Budget::new(1000), pin());
        assert_eq!(cell.offer(At(5), &budget, &guard), Offer::Taken);
        assert_eq!(cell.offer(At(4), &budget, &guard), Offer::Outdated);
        assert_eq!(cell.offer(At(5), &budget, &guard), Offer::Outdated);
        assert_eq!(held(&cell), Some(5));
        assert_eq!(cell.offer(At(6), &budget, &guard), Offer::Taken);
        assert_eq!(held(&cell), Some(6));
        assert_eq!(budget.used(), 100);
    }

    #[test]
    fn a_detached_cell_stays_empty() {
        let (cell, budget, guard) = (Cell::vacant(()), Budget::new(1000), pin());
        cell.offer(At(5), &budget, &guard);
        cell.detach(&budget, &guard);
        assert_eq!(cell.offer(At(9), &budget, &guard), Offer::Detached);
        assert!(matches!(cell.load(&guard), State::Detached));
        assert!(cell.is_detached());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn readers_see_ranks_only_rise_while_writers_race() {
        let (cell, budget) = (Cell::vacant(()), Budget::new(1000));
        std::thread::scope(|scope| {
            for writer in 0..4_u64 {
                let (cell, budget) = (&cell, &budget);
                scope.spawn(move || {
                    for n in 0..5_000 {
                        cell.offer(At(n * 4 + writer), budget, &pin());
                    }
                });
            }
            scope.spawn(|| {
                let mut last = 0;
                while last < 19_999 {
                    let seen = held(&cell).unwrap_or(0);
                    assert!(seen >= last, "{seen} after {last}");
                    last = seen;
                    std::thread::yield_now();
                }
            });
        });
        assert_eq!((held(&cell), budget.used()), (Some(19_999), 100));
    }
}
