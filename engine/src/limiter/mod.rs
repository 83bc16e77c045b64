//! How often each key may still be used: one bucket a key, shared by everything that verifies it.
//!
//! Guarantees:
//! - At any time at most one bucket of a key counts, whatever rows of it exist and however they were made; so exactly the quota
//!   passes, however many cores ask.
//! - Taking from a bucket that a row holds is one atomic exchange: no lock, no look-up, no allocation.
//! - Memory is bounded. A bucket that is full again says nothing and is the first to go. When all that share a place in the
//!   table are in use, one of them goes all the same, and its key begins with a full bucket: a quota is then let through twice.
//! - When no bucket can be had, a request passes uncounted: a limiter must not refuse what it cannot count.
//!
//! A bucket is born *vacant* and counts only once it is elected, because two threads may link one each for the same key. A
//! thread elects a bucket that it has found in the table, so: fence, look at all buckets of the key; if none counts, close all
//! vacant ones but that with the lowest address, and let that one count. Of two threads that elect different buckets, one has
//! its fence after the other's, and so sees the other's bucket.

mod gcra;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{mem, ptr};

use portable_atomic::AtomicU128;
use talos_cells::{Budget, Entry, Guard, Table};

pub use gcra::{Exhausted, Level, Rule};

use gcra::Mark;
use talos_model::RecordKey;

use crate::limits::SWEEP_BUCKETS;

/// Nanoseconds of a clock that never goes back.
pub type MonotonicClock = fn() -> u64;

/// Looks at a key's buckets before it is given up; each look that fails means that another thread got further.
const ATTEMPTS: usize = 16;

/// Whether rate limits are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Policies are stored and shown.
    #[default]
    Off,
    /// And whoever exceeds one is refused.
    On,
}

/// What one key has left.
///
/// The word is the theoretical arrival time in its lower half and the interval in which that was counted in its upper half, so
/// that nobody sees one without the other when a policy changes. An interval of 0 marks a bucket that does not count.
#[derive(Debug)]
pub struct Bucket {
    key: RecordKey,
    clock: MonotonicClock,
    word: AtomicU128,
}

const VACANT: u128 = 0;
const CLOSED: u128 = 1;

fn word_of(mark: Mark) -> u128 {
    (u128::from(mark.interval_ns) << 64) | u128::from(mark.full_at_ns)
}

/// The mark in a word; `None` when the bucket does not count.
fn mark_of(word: u128) -> Option<Mark> {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    let interval_ns = half(word >> 64);
    (interval_ns > 0).then(|| Mark {
        full_at_ns: half(word),
        interval_ns,
    })
}

impl Bucket {
    fn vacant(key: RecordKey, clock: MonotonicClock) -> Self {
        Self {
            key,
            clock,
            word: AtomicU128::new(VACANT),
        }
    }

    /// Takes one request; `None` when this bucket does not count.
    fn take(&self, rule: Rule) -> Option<Result<Level, Exhausted>> {
        let mut word = self.word.load(Ordering::Acquire);
        let now_ns = (self.clock)();
        loop {
            let (mark, level) = match rule.take(mark_of(word)?, now_ns) {
                Ok(taken) => taken,
                Err(exhausted) => return Some(Err(exhausted)),
            };
            let exchange = self.word.compare_exchange_weak(
                word,
                word_of(mark),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match exchange {
                Ok(_) => return Some(Ok(level)),
                Err(newer) => word = newer,
            }
        }
    }

    fn counts(&self) -> bool {
        mark_of(self.word.load(Ordering::Acquire)).is_some()
    }

    fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) == CLOSED
    }

    /// Gives a vacant bucket its destiny. False when it had one already.
    fn leave_vacancy(&self, word: u128) -> bool {
        self.word
            .compare_exchange(VACANT, word, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

impl Entry for Bucket {
    fn retire(&self, _: &Budget, _: &Guard) {
        self.word.store(CLOSED, Ordering::Release);
    }

    fn take_reference(&self) -> bool {
        let word = self.word.load(Ordering::Acquire);
        match mark_of(word) {
            Some(mark) => mark.full_at_ns > (self.clock)(),
            None => word == VACANT,
        }
    }
}

/// The rate limit of a row: its rule, and the bucket of its key if there was one to be had.
#[derive(Debug)]
pub struct Meter {
    rule: Rule,
    bucket: Option<Arc<Bucket>>,
}

/// See the module.
pub struct Limiter {
    buckets: Table<Bucket>,
    budget: Budget,
    enforced: AtomicBool,
    clock: MonotonicClock,
}

impl Limiter {
    /// A limiter with about `slots` buckets at most, which enforces nothing yet. From about half of that on, buckets that are
    /// full again are looked for and dropped.
    pub fn new(slots: usize, clock: MonotonicClock) -> Self {
        Self {
            buckets: Table::with_slots(slots),
            budget: Budget::new(slots / 2 * mem::size_of::<Bucket>()),
            enforced: AtomicBool::new(false),
            clock,
        }
    }

    /// Enforces limits from now on, or no longer.
    pub fn set_enforcement(&self, enforcement: Enforcement) {
        self.enforced
            .store(enforcement == Enforcement::On, Ordering::Relaxed);
    }

    /// Whether limits are enforced.
    pub fn is_enforced(&self) -> bool {
        self.enforced.load(Ordering::Relaxed)
    }

    /// Memory of the table and the buckets in it, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.buckets.slot_bytes() + self.budget.used()
    }

    /// The meter of a row of `key`, whose hash is `hash`. While nothing is enforced it takes no bucket.
    pub fn meter(&self, rule: Rule, key: &RecordKey, hash: u64, guard: &Guard) -> Meter {
        let bucket = if self.is_enforced() {
            self.bucket(key, hash, guard)
        } else {
            None
        };
        Meter { rule, bucket }
    }

    /// Takes one request from the bucket of `key`. `None` when it cannot be counted; it then passes.
    pub fn take(
        &self,
        meter: &Meter,
        key: &RecordKey,
        hash: impl FnOnce() -> u64,
        guard: &Guard,
    ) -> Option<Result<Level, Exhausted>> {
        let held = meter.bucket.as_ref();
        if let Some(taken) = held.and_then(|bucket| bucket.take(meter.rule)) {
            return Some(taken);
        }
        // The row was made before limits were enforced, or its bucket was evicted.
        let hash = hash();
        (0..ATTEMPTS).find_map(|_| self.bucket(key, hash, guard)?.take(meter.rule))
    }

    /// The bucket of `key` that counts, made if there is none.
    fn bucket(&self, key: &RecordKey, hash: u64, guard: &Guard) -> Option<Arc<Bucket>> {
        (0..ATTEMPTS).find_map(|_| {
            let known = self.buckets.get(hash, guard, |bucket| {
                bucket.key == *key && !bucket.is_closed()
            });
            let bucket = match known {
                Some(bucket) => bucket,
                None => self.link(key, hash, guard)?,
            };
            self.elect(&bucket, hash, guard).then_some(bucket)
        })
    }

    fn link(&self, key: &RecordKey, hash: u64, guard: &Guard) -> Option<Arc<Bucket>> {
        let bucket = Arc::new(Bucket::vacant(*key, self.clock));
        let linked = self
            .buckets
            .insert(hash, Arc::clone(&bucket), &self.budget, guard);
        if self.budget.is_exceeded() {
            self.buckets.sweep(SWEEP_BUCKETS, &self.budget, guard);
        }
        linked.then_some(bucket)
    }

    /// Whether `bucket`, which was found in the table, is the one that counts; see the module. When this returns, it has its
    /// destiny.
    fn elect(&self, bucket: &Bucket, hash: u64, guard: &Guard) -> bool {
        if bucket.counts() {
            return true;
        }
        bucket.leave_vacancy(if self.has_priority(bucket, hash, guard) {
            word_of(Mark::FULL)
        } else {
            CLOSED
        });
        bucket.counts()
    }

    /// Whether no other bucket of the key counts, or could be elected by a thread that has not seen `bucket`.
    fn has_priority(&self, bucket: &Bucket, hash: u64, guard: &Guard) -> bool {
        let mut has_priority = true;
        let others = |other: &Bucket| other.key == bucket.key && !ptr::eq(other, bucket);
        self.buckets.for_each(hash, guard, others, |other| {
            let is_higher = ptr::from_ref(other).addr() > ptr::from_ref(bucket).addr();
            if is_higher && other.leave_vacancy(CLOSED) {
                return;
            }
            // Lower and vacant, or elected before it could be closed.
            has_priority &= other.is_closed();
        });
        has_priority
    }
}

#[cfg(test)]
mod tests;
