//! `serve.http.throttle`: how often a client address may fail.

use std::time::Duration;

use talos_model::cidr::Cidr;

use crate::error::Problem;

/// The most blocks in `serve.http.throttle.exempt`. Each is compared with the address of a client
/// that fails.
const EXEMPT_MAX: usize = 256;

/// `serve.http.throttle`: how often a client address may fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// Failed verifications.
    pub failures: ThrottleRate,
    /// Requests to revoke one's own key.
    pub self_revocations: ThrottleRate,
    /// The addresses that are never throttled.
    pub exempt: Vec<Cidr>,
}

/// A quota in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrottleRate {
    /// How many a client has at once; `None` = any number.
    pub quota: Option<u64>,
    /// The time in which the whole quota comes back.
    pub window: Duration,
}

impl ThrottleRate {
    /// The time after which one more is allowed, in milliseconds; `None` = there is no quota.
    #[must_use]
    pub fn interval_ms(&self) -> Option<u64> {
        let window_ms = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        self.quota.map(|quota| window_ms.div_ceil(quota.max(1)))
    }

    fn problem(&self, quota_key: &str, window_key: &str) -> Option<Problem> {
        let quota = self.quota?;
        (u128::from(quota) > self.window.as_millis()).then(|| {
            Problem::of_key(
                quota_key,
                format!(
                    "{quota} is more than one a millisecond of {window_key}, {} ms; make the window longer or the quota smaller",
                    self.window.as_millis()
                ),
            )
        })
    }
}

impl Throttle {
    /// Values that contradict each other.
    pub(crate) fn problems(&self) -> impl Iterator<Item = Problem> {
        let too_many = (self.exempt.len() > EXEMPT_MAX).then(|| {
            Problem::of_key(
                "serve.http.throttle.exempt",
                format!(
                    "{} blocks; at most {EXEMPT_MAX} are allowed, so join neighbouring ones",
                    self.exempt.len()
                ),
            )
        });
        let failures = self.failures.problem(
            "serve.http.throttle.failures.quota",
            "serve.http.throttle.failures.window",
        );
        let self_revocations = self.self_revocations.problem(
            "serve.http.throttle.self_revocations.quota",
            "serve.http.throttle.self_revocations.window",
        );
        failures.into_iter().chain(self_revocations).chain(too_many)
    }
}
