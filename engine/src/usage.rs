//! What a verification does besides answering: it takes from the key's quota, and notes that the key was used.

use std::sync::Arc;

use talos_cells::Guard;
use talos_model::clock::{self, UnixMillis};
use talos_model::{Query, RateLimit, RecordKey, Standing, Verdict};

use crate::cached_key::CachedKey;
use crate::last_used::LastUsed;
use crate::limiter::{BulkRevocation, Exhausted, Level, Limiter};
use crate::limits::RATE_LIMIT_SLOTS;
use crate::shards::Shards;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// How often keys are used, and when they last were.
pub struct Usage {
    limiter: Limiter,
    last_used: Arc<LastUsed>,
    shards: Shards,
}

impl Usage {
    /// KeyCounter from nothing.
    pub fn new(shards: Shards, last_used: Arc<LastUsed>) -> Self {
        Self {
            limiter: Limiter::new(RATE_LIMIT_SLOTS, clock::monotonic_ns),
            last_used,
            shards,
        }
    }

    /// KeyCounter how often keys are used.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Forgets when a deleted key was last used.
    pub fn forget(&self, key: &RecordKey) {
        self.last_used.forget_key(key);
    }

    /// `cached`, which is one of `key`, with what counts its uses.
    pub fn metered(&self, key: &RecordKey, cached: CachedKey, guard: &Guard) -> CachedKey {
        cached.metered(|policy| {
            let hash = self.shards.hash(key);
            self.limiter
                .meter(BulkRevocation::new(policy), key, hash, guard)
        })
    }

    /// What is to be said of a proven credential of `key`: what its cached key says, and if that lets it pass, what its rate limit
    /// says. Nothing else is checked after the limit, so a refusal takes nothing from the quota. A use is noted.
    pub fn judge<'r>(
        &self,
        key: &RecordKey,
        cached: &'r CachedKey,
        query: &Query<'_>,
        guard: &Guard,
    ) -> Verdict<'r> {
        let verdict = match cached.judge(query) {
            Verdict::Valid {
                body,
                rate_limit: Some(rate_limit),
            } if self.limiter.is_enforced() => {
                let hash = || self.shards.hash(key);
                let take = |meter| self.limiter.take(meter, key, hash, guard);
                let taken = cached.meter().and_then(take);
                limited(body, rate_limit, taken, query.now)
            }
            verdict => verdict,
        };
        if let Verdict::Valid { .. } = verdict {
            self.last_used
                .record(key, cached.next_recording(), query.now);
        }
        verdict
    }
}

/// The verdict on a credential that holds, after its rate limit was asked; one that could not be counted passes.
fn limited(
    body: &[u8],
    RateLimit { policy, .. }: RateLimit,
    taken: Option<Result<Level, Exhausted>>,
    now: UnixMillis,
) -> Verdict<'_> {
    let rate_limit = |level: Option<Level>| RateLimit {
        policy,
        standing: level.map(|level| Standing {
            remaining: level.remaining,
            reset_time: now.plus_nanos(level.full_in_ns),
        }),
    };
    match taken {
        Some(Err(exhausted)) => Verdict::Limited {
            rate_limit: rate_limit(Some(exhausted.level)),
            retry_after_s: exhausted.retry_in_ns.div_ceil(NANOS_PER_SECOND),
        },
        passed => Verdict::Valid {
            body,
            rate_limit: Some(rate_limit(passed.and_then(Result::ok))),
        },
    }
}
