//! The generic cell rate algorithm (GCRA) in its virtual scheduling form (ATM Forum, Traffic
//! Management Specification 4.0, af-tm-0056.000), as functions of a bucket's state and the time.
//!
//! A bucket holds `quota` requests and starts full. It refills by one request every `interval` =
//! window / quota. Its state is the *theoretical arrival time* alone: the time at which the bucket
//! will be full again. A request moves that time forward by one interval. The request is refused if
//! the time would then lie more than `quota` intervals ahead.
//!
//! Rounding: the interval is a whole number of nanoseconds, rounded up. So the long-term rate is
//! never above the policy, and below it by less than one nanosecond in an interval. The limit is
//! `quota` of these rounded intervals and not the window, so exactly `quota` requests pass at one
//! instant. A quota of more than one request a nanosecond refills by one a nanosecond. In any
//! period of length t at most `quota` + t / interval requests pass.

use talos_model::RateLimitPolicy;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The longest window, 2^62 ns or 146 years. Longer ones count as this one.
const WINDOW_NS_MAX: u64 = 1 << 62;
/// The largest quota, the greatest 64-bit integer of the API. Larger ones count as this one.
const QUOTA_MAX: u64 = i64::MAX.unsigned_abs();

// A window rounded up to whole intervals is at most this long. So in the first 146 years of a
// process, a time that far ahead fits 64 bits.
const _: () = assert!(WINDOW_NS_MAX.checked_add(QUOTA_MAX).is_some());

/// A rate limit policy in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RatePolicy {
    /// The cost of one request; at least 1.
    interval_ns: u64,
    /// How far ahead the theoretical arrival time may lie: `quota` intervals.
    limit_ns: u64,
}

/// The state of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketState {
    /// The theoretical arrival time. A time in the past means that the bucket is full.
    pub full_at_ns: u64,
    /// The interval under which it was computed; at least 1.
    pub interval_ns: u64,
}

impl BucketState {
    /// A full bucket.
    pub const FULL: Self = Self {
        full_at_ns: 0,
        interval_ns: 1,
    };
}

/// The level of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Requests that would pass now.
    pub remaining: u64,
    /// Nanoseconds until the bucket is full, if no request is taken.
    pub full_in_ns: u64,
}

/// The bucket holds less than one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The level of the bucket.
    pub level: Level,
    /// Nanoseconds until the bucket holds one request; at least 1.
    pub retry_in_ns: u64,
}

impl RatePolicy {
    /// The policy in nanoseconds. A quota or window of 0, which the API refuses, counts as 1.
    pub fn new(policy: RateLimitPolicy) -> Self {
        let window_ns = policy.window_s.max(1).saturating_mul(NANOS_PER_SECOND);
        let quota = policy.quota.clamp(1, QUOTA_MAX);
        let interval_ns = window_ns.min(WINDOW_NS_MAX).div_ceil(quota);
        Self {
            interval_ns,
            limit_ns: interval_ns.saturating_mul(quota),
        }
    }

    /// Takes one request from the bucket in `state`. Returns its new state, or when a request will
    /// be possible.
    pub fn take(self, state: BucketState, now_ns: u64) -> Result<(BucketState, Level), Exhausted> {
        let ahead_ns = self.ahead_ns(state, now_ns);
        let after_ns = ahead_ns.saturating_add(self.interval_ns);
        if after_ns > self.limit_ns {
            return Err(Exhausted {
                level: self.level(ahead_ns),
                retry_in_ns: after_ns - self.limit_ns,
            });
        }
        let state = BucketState {
            full_at_ns: now_ns.saturating_add(after_ns),
            interval_ns: self.interval_ns,
        };
        Ok((state, self.level(after_ns)))
    }

    /// How far ahead the theoretical arrival time lies under this policy. A state that was computed
    /// under another interval is converted: the number of used requests stays, and each one costs
    /// what a request costs now. So a change of the policy neither fills an empty bucket nor
    /// empties a full one. If more was used than the new quota allows, the bucket is empty.
    fn ahead_ns(self, state: BucketState, now_ns: u64) -> u64 {
        let ahead_ns = state.full_at_ns.saturating_sub(now_ns);
        let ahead_ns = if state.interval_ns == self.interval_ns {
            ahead_ns
        } else {
            let scaled = u128::from(ahead_ns) * u128::from(self.interval_ns);
            let ahead_ns = scaled.div_ceil(u128::from(state.interval_ns.max(1)));
            u64::try_from(ahead_ns).unwrap_or(u64::MAX)
        };
        ahead_ns.min(self.limit_ns)
    }

    fn level(self, ahead_ns: u64) -> Level {
        Level {
            remaining: (self.limit_ns - ahead_ns.min(self.limit_ns)) / self.interval_ns,
            full_in_ns: ahead_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = NANOS_PER_SECOND;

    fn rate_policy(quota: u64, window_s: u64) -> RatePolicy {
        RatePolicy::new(RateLimitPolicy { quota, window_s })
    }

    /// Takes requests at one instant until one is refused, `most` requests at most.
    fn drain(
        rate_policy: RatePolicy,
        mut state: BucketState,
        now_ns: u64,
        most: u64,
    ) -> (BucketState, u64) {
        for taken in 0..most {
            match rate_policy.take(state, now_ns) {
                Ok((after, _)) => state = after,
                Err(_) => return (state, taken),
            }
        }
        (state, most)
    }

    #[test]
    fn a_burst_is_the_quota_and_the_rest_comes_one_by_one() {
        let rate_policy = rate_policy(3, 60);
        let start = 5 * SECOND;
        let (state, taken) = drain(rate_policy, BucketState::FULL, start, 10);
        assert_eq!(taken, 3);
        let refused = rate_policy.take(state, start).unwrap_err();
        assert_eq!(
            (refused.level.remaining, refused.level.full_in_ns),
            (0, 60 * SECOND)
        );
        assert_eq!(refused.retry_in_ns, 20 * SECOND);
        assert!(rate_policy.take(state, start + 20 * SECOND - 1).is_err());
        let (state, level) = rate_policy.take(state, start + 20 * SECOND).unwrap();
        assert_eq!((level.remaining, level.full_in_ns), (0, 60 * SECOND));
        let (_, level) = rate_policy.take(state, start + 80 * SECOND).unwrap();
        assert_eq!(level.remaining, 2, "full again after a window");
        let (_, level) = rate_policy.take(state, start + 8000 * SECOND).unwrap();
        assert_eq!(level.remaining, 2, "and never more than full");
    }

    #[test]
    fn a_new_policy_keeps_what_was_used() {
        let now = 7 * SECOND;
        let (empty, _) = drain(rate_policy(2, 60), BucketState::FULL, now, 2);
        for (quota, window_s, left) in [
            (5, 60, 3),
            (5, 3600, 3),
            (5, 1, 3),
            (2, 3600, 0),
            (2, 1, 0),
            (1, 60, 0),
            (1, 3600, 0),
            (i64::MAX.unsigned_abs(), 31_536_000, u64::MAX),
        ] {
            let (_, taken) = drain(rate_policy(quota, window_s), empty, now, 100);
            assert_eq!(taken, left.min(100), "{quota} in {window_s} s");
        }
        // What was used beyond a lower quota is forgiven: the wait is that of one request.
        let (emptied, _) = drain(rate_policy(100, 60), BucketState::FULL, now, 100);
        let refused = rate_policy(10, 60).take(emptied, now).unwrap_err();
        assert_eq!(refused.retry_in_ns, 6 * SECOND);
        // A policy that is set for a moment changes nothing.
        let (half, _) = drain(rate_policy(10, 60), BucketState::FULL, now, 5);
        let (there, _) = drain(rate_policy(1000, 60), half, now, 1);
        assert_eq!(drain(rate_policy(10, 60), there, now, 100).1, 4);
    }

    #[test]
    fn the_ends_of_the_range_hold() {
        for (quota, window_s) in [
            (1, 1),
            (1, u64::MAX),
            (2, u64::MAX),
            (3, 315_576_000_000),
            (u64::MAX, 1),
            (u64::MAX, u64::MAX),
            (0, 0),
            (i64::MAX.unsigned_abs(), 60),
            (1_000_000_007, 60),
        ] {
            let rate_policy = rate_policy(quota, window_s);
            let now = 1 << 60;
            let (state, taken) = drain(rate_policy, BucketState::FULL, now, 100);
            assert_eq!(taken, quota.clamp(1, 100), "{quota} in {window_s} s");
            if taken < 100 {
                let retry = rate_policy.take(state, now).unwrap_err().retry_in_ns;
                assert!(
                    rate_policy.take(state, now + retry).is_ok(),
                    "{quota} {window_s}"
                );
                assert!(rate_policy.take(state, now + retry - 1).is_err());
            }
        }
    }

    /// A small generator with a fixed seed (Marsaglia's xorshift64*), so that a failure repeats.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
        }

        /// A number of a random magnitude: up to `bits` bits.
        fn magnitude(&mut self, bits: u32) -> u64 {
            let bits = self.next() % u64::from(bits) + 1;
            self.next() >> (64 - bits)
        }
    }

    /// A token bucket that must agree with GCRA. Tokens drip in, in units of 1/interval of a
    /// request.
    struct TokenBucket {
        units: u128,
        capacity: u128,
        cost: u128,
        seen_ns: u64,
    }

    impl TokenBucket {
        fn new(policy: RateLimitPolicy, now_ns: u64) -> Self {
            let window = (u128::from(policy.window_s) * 1_000_000_000).min(1 << 62);
            let quota = u128::from(policy.quota);
            let cost = window / quota + u128::from(window % quota != 0);
            Self {
                units: cost * quota,
                capacity: cost * quota,
                cost,
                seen_ns: now_ns,
            }
        }

        fn take(&mut self, now_ns: u64) -> Option<u128> {
            let dripped = u128::from(now_ns - self.seen_ns);
            self.units = (self.units + dripped).min(self.capacity);
            self.seen_ns = now_ns;
            self.units = self.units.checked_sub(self.cost)?;
            Some(self.units / self.cost)
        }
    }

    #[test]
    fn it_agrees_with_a_bucket_of_tokens() {
        let mut random = Random(0x6C_5EED);
        let (mut passed, mut refused) = (0, 0);
        for round in 0..2_000 {
            let policy = RateLimitPolicy {
                quota: random.magnitude(63).max(1) >> (random.next() % 40),
                window_s: random.magnitude(40).max(1),
            };
            let policy = RateLimitPolicy {
                quota: policy.quota.max(1),
                ..policy
            };
            let rate_policy = RatePolicy::new(policy);
            let mut now = random.magnitude(50);
            let (mut bucket, mut state) = (TokenBucket::new(policy, now), BucketState::FULL);
            for step in 0..60 {
                // Sometimes exactly one interval later, or one nanosecond less.
                now += match random.next() % 4 {
                    0 => 0,
                    1 => rate_policy.interval_ns.min(1 << 50),
                    2 => rate_policy.interval_ns.min(1 << 50) - 1,
                    _ => random.magnitude(45),
                };
                let wanted = bucket.take(now);
                let taken = rate_policy.take(state, now);
                let remaining = taken.ok().map(|(_, level)| u128::from(level.remaining));
                assert_eq!(remaining, wanted, "round {round}, step {step}: {policy:?}");
                match taken {
                    Ok((after, _)) => {
                        state = after;
                        passed += 1;
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(passed > 20_000 && refused > 5_000, "{passed} {refused}");
    }
}
