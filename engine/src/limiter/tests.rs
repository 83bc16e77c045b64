use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::thread;

use talos_cells::pin;
use talos_model::{KeyId, RateLimitPolicy, TenantId};
use uuid::Uuid;

use super::*;

const HASH: u64 = 0x0123_4567_89ab_cdef;

fn key(n: u128) -> RecordKey {
    RecordKey::new(TenantId::SINGLE, KeyId::Issued(Uuid::from_u128(n)))
}

fn rate_policy(quota: u64, window_s: u64) -> RatePolicy {
    RatePolicy::new(RateLimitPolicy { quota, window_s })
}

fn stopped() -> u64 {
    1
}

fn limiter(slots: usize, clock: MonotonicClock) -> Limiter {
    Limiter::new(slots, clock)
}

/// Whether one more request of `key` passes.
fn passes(limiter: &Limiter, meter: &Meter, key: &RecordKey) -> bool {
    let taken = limiter.take(meter, key, || HASH, &pin());
    taken.expect("a bucket").is_ok()
}

fn count_passing(limiter: &Limiter, meter: &Meter, key: &RecordKey) -> usize {
    (0..1000)
        .take_while(|_| passes(limiter, meter, key))
        .count()
}

/// How many requests pass if eight threads ask at once, each with a meter that `meter` makes for
/// each request.
fn hammer(limiter: &Limiter, key: &RecordKey, meter: impl Fn() -> Meter + Sync) -> u64 {
    let (passed, start) = (AtomicU64::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..100 {
                    if passes(limiter, &meter(), key) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    passed.into_inner()
}

#[test]
fn exactly_the_quota_passes_however_many_ask() {
    let key = key(1);
    for round in 0..200 {
        let limiter = limiter(64, stopped);
        let quota = 1 + round * 3;
        // All threads race for the first bucket. Each request makes a meter of its own, as without
        // a cache.
        let fresh = || limiter.meter(rate_policy(quota, 60), &key, HASH, &pin());
        assert_eq!(hammer(&limiter, &key, fresh), quota, "round {round}");
    }
}

/// Two vacant buckets of one key, in the order of their addresses.
fn rivals(key: RecordKey) -> [Arc<Bucket>; 2] {
    let mut rivals = [(); 2].map(|()| Arc::new(Bucket::vacant(key, stopped)));
    rivals.sort_by_key(|bucket| Arc::as_ptr(bucket).addr());
    rivals
}

#[test]
fn of_two_buckets_that_were_linked_at_once_one_counts() {
    for first in [0, 1] {
        let (limiter, guard, rivals) = (limiter(64, stopped), pin(), rivals(key(1)));
        for rival in &rivals {
            let linked = Arc::clone(rival);
            assert!(
                limiter
                    .buckets
                    .insert(HASH, linked, &limiter.budget, &guard)
            );
        }
        let elected = [first, 1 - first].map(|n| limiter.elect(&rivals[n], HASH, &guard));
        assert_eq!(elected.iter().filter(|elected| **elected).count(), 1);
        let found = limiter.bucket(&key(1), HASH, &guard).expect("a bucket");
        assert!(found.counts() && rivals.iter().any(|rival| Arc::ptr_eq(rival, &found)));
    }
}

#[test]
fn a_thread_that_has_looked_too_early_elects_nothing() {
    for early in [0, 1] {
        let (limiter, guard, rivals) = (limiter(64, stopped), pin(), rivals(key(1)));
        let link = |n: usize| {
            let linked = Arc::clone(&rivals[n]);
            assert!(
                limiter
                    .buckets
                    .insert(HASH, linked, &limiter.budget, &guard)
            );
        };
        link(early);
        assert!(limiter.has_priority(&rivals[early], HASH, &guard));
        link(1 - early);
        let later = limiter.elect(&rivals[1 - early], HASH, &guard);
        // The first thread continues.
        rivals[early].decide(word_of(BucketState::FULL));
        assert_ne!(rivals[early].counts(), later, "exactly one counts");
    }
}

#[test]
fn meters_made_before_limits_were_enforced_count_together() {
    let key = key(1);
    for round in 0..200 {
        let limiter = Limiter::new(64, stopped);
        let before = || Meter::without_bucket(rate_policy(100, 60));
        assert_eq!(hammer(&limiter, &key, before), 100, "round {round}");
    }
}

#[test]
fn keys_in_one_place_do_not_count_for_each_other() {
    let limiter = limiter(64, stopped);
    for n in 0..8 {
        let key = key(n);
        let meter = limiter.meter(rate_policy(3, 60), &key, HASH, &pin());
        assert_eq!(count_passing(&limiter, &meter, &key), 3);
    }
}

#[test]
fn an_update_keeps_what_was_used_in_every_meter() {
    let (limiter, key) = (limiter(64, stopped), key(1));
    let old = limiter.meter(rate_policy(2, 60), &key, HASH, &pin());
    assert_eq!(count_passing(&limiter, &old, &key), 2);
    let new = limiter.meter(rate_policy(5, 60), &key, HASH, &pin());
    assert!(passes(&limiter, &new, &key));
    assert!(!passes(&limiter, &old, &key), "an old row is no way around");
    assert_eq!(count_passing(&limiter, &new, &key), 2);
}

#[test]
fn a_full_bucket_is_evicted_first_and_its_meters_find_another() {
    static NOW: AtomicU64 = AtomicU64::new(1);
    let limiter = limiter(64, || NOW.load(Ordering::Relaxed));
    let meters: Vec<_> = (0..8)
        .map(|n| {
            (
                key(n),
                limiter.meter(rate_policy(2, 60), &key(n), HASH, &pin()),
            )
        })
        .collect();
    // Key 2 has used one request, the others two: its bucket is full again first.
    for (n, (key, meter)) in meters.iter().enumerate() {
        assert!(passes(&limiter, meter, key));
        assert!(n == 2 || passes(&limiter, meter, key));
    }
    NOW.store(40_000_000_000, Ordering::Relaxed);
    let ninth = limiter.meter(rate_policy(2, 60), &key(9), HASH, &pin());
    assert_eq!(count_passing(&limiter, &ninth, &key(9)), 2);
    for (n, (_, meter)) in meters.iter().enumerate() {
        let closed = meter.bucket.as_ref().expect("a bucket").is_closed();
        assert_eq!(closed, n == 2, "{n}");
    }
    // The key gets another bucket, and all its meters count there.
    let (key, held) = &meters[2];
    let made = limiter.meter(rate_policy(2, 60), key, HASH, &pin());
    assert!(passes(&limiter, held, key) && passes(&limiter, &made, key));
    assert!(!passes(&limiter, held, key) && !passes(&limiter, &made, key));
}

#[test]
fn memory_is_bounded_and_idle_buckets_make_room() {
    static NOW: AtomicU64 = AtomicU64::new(1);
    let limiter = limiter(1024, || NOW.load(Ordering::Relaxed));
    let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let fill = |from: u64| {
        for n in from..from + 20_000 {
            let key = key(n.into());
            let meter = limiter.meter(rate_policy(1, 60), &key, hash(n), &pin());
            assert!(matches!(
                limiter.take(&meter, &key, || hash(n), &pin()),
                Some(Ok(_))
            ));
        }
    };
    fill(0);
    assert!(limiter.buckets.len() <= 1024);
    let bytes_max = limiter.buckets.slot_bytes() + 1024 * (mem::size_of::<Bucket>() + 16);
    assert!(limiter.used_bytes() <= bytes_max);
    NOW.store(u64::MAX >> 4, Ordering::Relaxed);
    // All buckets are full: one round of the clock's hand leaves no more than the budget.
    let keys = limiter.buckets.len();
    limiter.buckets.sweep(1024 / 8, &limiter.budget, &pin());
    assert!(limiter.buckets.len() * 20 < keys, "{keys} buckets");
}
