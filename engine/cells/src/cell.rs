//! The newest known value of one key.
//!
//! A cell begins vacant, takes values of ever greater rank, and ends detached. It never goes back: not from a value to an
//! older one, not from a value to vacant, not from detached to anything.

use std::ptr;

use crate::budget::Budget;
use crate::sync::{AtomicBool, AtomicPtr, Guard, Ordering, retire};
use crate::table::Entry;

/// One state of a key, immutable.
pub trait CellValue: Send + Sync {
    /// Whether this value is to take the place of `current`. Must be a strict order, and values of a greater sequence must
    /// supersede those of a smaller one.
    fn supersedes(&self, current: &Self) -> bool;

    /// The memory it takes, in bytes. Must always give the same number.
    fn bytes(&self) -> usize;
}

/// The value of the key `K`, swapped atomically.
#[derive(Debug)]
pub struct Cell<K, R> {
    key: K,
    value: AtomicPtr<R>,
    referenced: AtomicBool,
}

/// What a cell holds.
#[derive(Debug)]
pub enum State<'g, R> {
    /// Nothing yet: the value must be read from storage and offered.
    Vacant,
    /// The newest value known.
    Value(&'g R),
    /// Never anything again: a new cell must be made.
    Detached,
}

/// What became of an offered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is the newest now.
    Taken,
    /// The cell holds a newer one, or the same.
    Outdated,
    /// The cell is detached.
    Detached,
}

/// The address that marks a detached cell. Nothing is ever allocated at 1.
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

    /// What the cell was made for.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// What the cell holds. Does not wait.
    pub fn load<'g>(&self, guard: &'g Guard) -> State<'g, R> {
        let value = self.value.load(Ordering::Acquire);
        Self::state(value, guard)
    }

    /// Whether the cell will never hold a value again. A look-up passes over such cells: they are about to be unlinked.
    pub fn is_detached(&self) -> bool {
        self.value.load(Ordering::Acquire) == detached()
    }

    /// Keeps the cell from the next round of eviction.
    pub fn touch(&self) {
        // Store only when it changes something: readers on other cores keep their copy of the line.
        if !self.referenced.load(Ordering::Relaxed) {
            self.referenced.store(true, Ordering::Relaxed);
        }
    }

    /// Takes `value` if it supersedes what the cell holds, and counts its bytes.
    pub fn offer(&self, value: R, budget: &Budget, guard: &Guard) -> Offer {
        let bytes = value.bytes();
        let offered = Box::into_raw(Box::new(value));
        let mut current = self.value.load(Ordering::Acquire);
        loop {
            let refused = match Self::state(current, guard) {
                State::Vacant => None,
                // SAFETY: `offered` comes from `Box::into_raw` above and is not shared before the exchange succeeds.
                State::Value(held) if unsafe { &*offered }.supersedes(held) => None,
                State::Value(_) => Some(Offer::Outdated),
                State::Detached => Some(Offer::Detached),
            };
            if let Some(refused) = refused {
                // SAFETY: as above: still ours alone.
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

    /// Empties the cell for good. Whoever still points to it sees [`State::Detached`].
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
            // SAFETY: a pointer that is neither mark came from `Box::into_raw` in `offer`; it is freed only through
            // `retire` after it was swapped out, so it outlives every guard pinned before that, this one included.
            State::Value(unsafe { &*value })
        }
    }

    fn release(value: *mut R, budget: &Budget, guard: &Guard) {
        if let State::Value(held) = Self::state(value, guard) {
            budget.release(held.bytes());
            // SAFETY: the caller has swapped the pointer out, so nobody finds it from now on, and only one caller can
            // have swapped it out; values are `Send`.
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
            // SAFETY: exclusive access; the pointer came from `Box::into_raw` and was not swapped out.
            drop(unsafe { Box::from_raw(value) });
        }
    }
}

// SAFETY: the pointer owns an `R` that is reached from any thread and dropped on any thread.
unsafe impl<K: Send, R: CellValue> Send for Cell<K, R> {}
// SAFETY: as above; all access to the pointer is atomic.
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
