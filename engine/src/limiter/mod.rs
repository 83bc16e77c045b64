//! Rate limits: one bucket for each key, shared by all cores that verify it.
//!
//! Guarantees:
//! - At most one bucket of a key counts at a time, whatever cached keys of it exist and however
//!   they were made. So exactly the quota passes, however many cores verify.
//! - Taking a request from a bucket that a cached key holds is one atomic exchange: no lock, no
//!   look-up, no allocation.
//! - Memory is bounded. A full bucket carries no information and is evicted first. If all buckets
//!   in a place of the table are in use, one of them is evicted all the same. Its key then starts
//!   with a full bucket, so up to twice the quota passes.
//! - If no bucket can be linked, a request passes uncounted: a limiter must not refuse what it
//!   cannot count.
//!
//! A bucket starts *vacant* and counts only after it is elected, because two threads may link one
//! bucket each for the same key. A thread elects a bucket that it has found in the table in three
//! steps: a fence; a look at all buckets of the key; if none of them counts, it closes all vacant
//! ones but the one with the lowest address, and lets that one count. If two threads elect
//! different buckets, the fence of one comes after the fence of the other, so it sees the other's
//! bucket.

mod gcra;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{mem, ptr};

use portable_atomic::AtomicU128;
use talos_cells::{Budget, Entry, Guard, Table};

pub use gcra::{Exhausted, Level, RatePolicy};

use gcra::BucketState;
use talos_model::RecordKey;

use crate::limits::SWEEP_BUCKETS;

/// Nanoseconds of a clock that never goes back.
pub type MonotonicClock = fn() -> u64;

/// How often a thread looks for a key's bucket before it gives up. Each failure means that another
/// thread made progress.
const ATTEMPTS: usize = 16;

/// The bucket of one key.
///
/// The lower half of the word is the theoretical arrival time, the upper half the interval under
/// which it was computed. So no thread sees one without the other when a policy changes. An
/// interval of 0 marks a bucket that does not count.
#[derive(Debug)]
pub struct Bucket {
    key: RecordKey,
    clock: MonotonicClock,
    word: AtomicU128,
}

const VACANT: u128 = 0;
const CLOSED: u128 = 1;

fn word_of(state: BucketState) -> u128 {
    (u128::from(state.interval_ns) << 64) | u128::from(state.full_at_ns)
}

/// The state in a word; `None` if the bucket does not count.
fn state_of(word: u128) -> Option<BucketState> {
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0);
    let interval_ns = half(word >> 64);
    (interval_ns > 0).then(|| BucketState {
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

    /// Takes one request; `None` if this bucket does not count.
    fn take(&self, rate_policy: RatePolicy) -> Option<Result<Level, Exhausted>> {
        let mut word = self.word.load(Ordering::Acquire);
        let now_ns = (self.clock)();
        loop {
            let (state, level) = match rate_policy.take(state_of(word)?, now_ns) {
                Ok(taken) => taken,
                Err(exhausted) => return Some(Err(exhausted)),
            };
            let exchange = self.word.compare_exchange_weak(
                word,
                word_of(state),
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
        state_of(self.word.load(Ordering::Acquire)).is_some()
    }

    fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) == CLOSED
    }

    /// Replaces the word of a vacant bucket. False if the bucket was not vacant.
    fn decide(&self, word: u128) -> bool {
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
        match state_of(word) {
            Some(state) => state.full_at_ns > (self.clock)(),
            None => word == VACANT,
        }
    }
}

/// The rate limit of a cached key: its policy, and its key's bucket if there was one.
#[derive(Debug)]
pub struct Meter {
    rate_policy: RatePolicy,
    bucket: Option<Arc<Bucket>>,
}

impl Meter {
    /// A meter that looks for the bucket of its key when it first takes a request.
    pub fn without_bucket(rate_policy: RatePolicy) -> Self {
        Self {
            rate_policy,
            bucket: None,
        }
    }
}

/// The buckets of all keys.
pub struct Limiter {
    buckets: Table<Bucket>,
    budget: Budget,
    clock: MonotonicClock,
}

impl Limiter {
    /// A limiter with about `slots` buckets at most. Once about half of them are in use, it looks
    /// for full buckets and drops them.
    pub fn new(slots: usize, clock: MonotonicClock) -> Self {
        Self {
            buckets: Table::with_slots(slots),
            budget: Budget::new(slots / 2 * mem::size_of::<Bucket>()),
            clock,
        }
    }

    /// Memory of the table and its buckets, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.buckets.slot_bytes() + self.budget.used()
    }

    /// The meter of a cached key of `key`; `hash` is the hash of the key.
    pub fn meter(
        &self,
        rate_policy: RatePolicy,
        key: &RecordKey,
        hash: u64,
        guard: &Guard,
    ) -> Meter {
        Meter {
            rate_policy,
            bucket: self.bucket(key, hash, guard),
        }
    }

    /// Takes one request from the bucket of `key`. `None` if it cannot be counted; the request then
    /// passes.
    pub fn take(
        &self,
        meter: &Meter,
        key: &RecordKey,
        hash: impl FnOnce() -> u64,
        guard: &Guard,
    ) -> Option<Result<Level, Exhausted>> {
        let held = meter.bucket.as_ref();
        if let Some(taken) = held.and_then(|bucket| bucket.take(meter.rate_policy)) {
            return Some(taken);
        }
        // The cached key was made before limits were enforced, or its bucket was evicted.
        let hash = hash();
        (0..ATTEMPTS).find_map(|_| self.bucket(key, hash, guard)?.take(meter.rate_policy))
    }

    /// The bucket of `key` that counts. Creates one if there is none.
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

    /// Whether `bucket`, which was found in the table, is the one that counts; the module describes
    /// the election. The bucket is not vacant any more when this returns.
    fn elect(&self, bucket: &Bucket, hash: u64, guard: &Guard) -> bool {
        if bucket.counts() {
            return true;
        }
        bucket.decide(if self.has_priority(bucket, hash, guard) {
            word_of(BucketState::FULL)
        } else {
            CLOSED
        });
        bucket.counts()
    }

    /// Whether no other bucket of the key counts, and none could be elected by a thread that has
    /// not seen `bucket`.
    fn has_priority(&self, bucket: &Bucket, hash: u64, guard: &Guard) -> bool {
        let mut has_priority = true;
        let others = |other: &Bucket| other.key == bucket.key && !ptr::eq(other, bucket);
        self.buckets.for_each(hash, guard, others, |other| {
            let is_higher = ptr::from_ref(other).addr() > ptr::from_ref(bucket).addr();
            if is_higher && other.decide(CLOSED) {
                return;
            }
            // A vacant bucket of a lower address, or one that was elected before it could be
            // closed.
            has_priority &= other.is_closed();
        });
        has_priority
    }
}

#[cfg(test)]
mod tests;
