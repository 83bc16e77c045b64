//! Side effects of a verification: it takes a request from the key's rate limit, and notes the use
//! of the key.

use std::sync::Arc;

use talos_cells::Guard;
use talos_model::clock::{self, UnixMillis};
use talos_model::{Query, RateLimit, RecordKey, Standing, Verdict};

use crate::cached_key::CachedKey;
use crate::last_used::LastUsed;
use crate::limiter::{Exhausted, Level, Limiter, Meter, RatePolicy};
use crate::limits::RATE_LIMIT_SLOTS;
use crate::shards::Shards;
use crate::tenants::ActiveTenant;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Rate limits and last uses of keys.
pub struct Usage {
    limiter: Limiter,
    last_used: Arc<LastUsed>,
    shards: Shards,
}

impl Usage {
    /// Starts with full buckets. `last_used` takes the uses.
    pub fn new(shards: Shards, last_used: Arc<LastUsed>) -> Self {
        Self {
            limiter: Limiter::new(RATE_LIMIT_SLOTS, clock::monotonic_ns),
            last_used,
            shards,
        }
    }

    /// The rate limits.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// Forgets when a deleted key was last used.
    pub fn forget(&self, key: &RecordKey) {
        self.last_used.forget_key(key);
    }

    /// `cached`, a cached key of `key`, with its meter.
    pub fn metered(&self, key: &RecordKey, cached: CachedKey, guard: &Guard) -> CachedKey {
        cached.metered(|policy| {
            let hash = self.shards.hash(key);
            self.limiter
                .meter(RatePolicy::new(policy), key, hash, guard)
        })
    }

    /// `cached` while the limits of its tenant are not enforced.
    pub fn unmetered(cached: CachedKey) -> CachedKey {
        cached.metered(|policy| Meter::without_bucket(RatePolicy::new(policy)))
    }

    /// The verdict on a proven credential of `key`: first that of its cached key, then that of its
    /// rate limit. The limit is checked last, so a request that is refused for another reason does
    /// not count. Notes the use of a valid credential.
    pub fn judge<'r>(
        &self,
        key: &RecordKey,
        cached: &'r CachedKey,
        tenant: &ActiveTenant,
        query: &Query<'_>,
        guard: &Guard,
    ) -> Verdict<'r> {
        let verdict = match cached.judge(query) {
            Verdict::Valid {
                body,
                rate_limit: Some(rate_limit),
            } if tenant.enforces_rate_limits() => {
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

/// The verdict on a valid credential after its rate limit was checked. A request that could not be
/// counted passes.
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
