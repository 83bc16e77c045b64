//! What the data plane counts.
//!
//! Guarantees: a counter is written by its own core only, so counting is a load, an add and a store without a locked
//! instruction; any thread may read it at any time and sees some recent value. A core's counters share no cache line with
//! another core's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use talos_engine::{CacheStatus, Refusal};

/// A number that one core writes and anybody reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one; on the owning core only.
    pub(crate) fn increment(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    /// Replaces the value; on the owning core only.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// A recent value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Verify one credential.
    Verify,
    /// `/health/alive`.
    Alive,
    /// `/health/ready`.
    Ready,
    /// Anything that the control plane answers.
    Control,
    /// A path or a method that nobody answers.
    Unknown,
    /// Not understood as a request.
    Malformed,
}

impl Route {
    /// All of them, in the order of [`CoreMetrics::requests`].
    pub const ALL: [Self; 6] = [
        Self::Verify,
        Self::Alive,
        Self::Ready,
        Self::Control,
        Self::Unknown,
        Self::Malformed,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "/v2alpha1/admin/apiKeys:verify",
            Self::Alive => "/health/alive",
            Self::Ready => "/health/ready",
            Self::Control => "control",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
        }
    }
}

/// Answers to one route by status class.
#[derive(Debug, Default)]
pub struct StatusCounts {
    /// 200–299.
    pub success: Counter,
    /// 300–399.
    pub redirect: Counter,
    /// 400–499.
    pub client_error: Counter,
    /// 500–599.
    pub server_error: Counter,
}

impl StatusCounts {
    fn of(&self, status: u16) -> &Counter {
        match status {
            ..=299 => &self.success,
            300..=399 => &self.redirect,
            400..=499 => &self.client_error,
            500.. => &self.server_error,
        }
    }

    /// Answers of any status.
    #[must_use]
    pub fn total(&self) -> u64 {
        [
            &self.success,
            &self.redirect,
            &self.client_error,
            &self.server_error,
        ]
        .map(Counter::get)
        .iter()
        .sum()
    }
}

/// Answers by route.
#[derive(Debug, Default)]
pub struct Requests {
    /// [`Route::Verify`].
    pub verify: StatusCounts,
    /// [`Route::Alive`].
    pub alive: StatusCounts,
    /// [`Route::Ready`].
    pub ready: StatusCounts,
    /// [`Route::Control`].
    pub control: StatusCounts,
    /// [`Route::Unknown`].
    pub unknown: StatusCounts,
    /// [`Route::Malformed`].
    pub malformed: StatusCounts,
}

impl Requests {
    /// The answers of one route.
    #[must_use]
    pub fn of(&self, route: Route) -> &StatusCounts {
        match route {
            Route::Verify => &self.verify,
            Route::Alive => &self.alive,
            Route::Ready => &self.ready,
            Route::Control => &self.control,
            Route::Unknown => &self.unknown,
            Route::Malformed => &self.malformed,
        }
    }

    pub(crate) fn count(&self, route: Route, status: u16) {
        self.of(route).of(status).increment();
    }

    /// Answers of any route and status.
    #[must_use]
    pub fn total(&self) -> u64 {
        Route::ALL
            .into_iter()
            .map(|route| self.of(route).total())
            .sum()
    }
}

/// Verifications by what came out and where it came from.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// The credential holds.
    pub valid: Counter,
    /// [`Refusal::InvalidFormat`].
    pub invalid_format: Counter,
    /// [`Refusal::Expired`].
    pub expired: Counter,
    /// [`Refusal::Revoked`].
    pub revoked: Counter,
    /// [`Refusal::NotFound`].
    pub not_found: Counter,
    /// [`Refusal::SignatureInvalid`].
    pub signature_invalid: Counter,
    /// [`Refusal::Internal`].
    pub internal: Counter,
    /// [`Refusal::IpNotAllowed`].
    pub ip_not_allowed: Counter,
    /// [`Refusal::RateLimited`].
    pub rate_limited: Counter,
    /// [`Refusal::AudienceMismatch`].
    pub audience_mismatch: Counter,
    /// Answered from memory.
    pub cache_hit: Counter,
    /// Answered from storage.
    pub cache_miss: Counter,
    /// Answered from storage because the request asked for it.
    pub cache_skip: Counter,
}

impl Verdicts {
    /// The counter of a refusal.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> &Counter {
        match refusal {
            Refusal::InvalidFormat => &self.invalid_format,
            Refusal::Expired => &self.expired,
            Refusal::Revoked => &self.revoked,
            Refusal::NotFound => &self.not_found,
            Refusal::SignatureInvalid => &self.signature_invalid,
            Refusal::Internal => &self.internal,
            Refusal::IpNotAllowed => &self.ip_not_allowed,
            Refusal::RateLimited => &self.rate_limited,
            Refusal::AudienceMismatch => &self.audience_mismatch,
        }
    }

    /// The counter of a cache status.
    #[must_use]
    pub fn cache(&self, cache: CacheStatus) -> &Counter {
        match cache {
            CacheStatus::Hit => &self.cache_hit,
            CacheStatus::Miss => &self.cache_miss,
            CacheStatus::Skip => &self.cache_skip,
        }
    }
}

/// Connections that ran into a deadline, by the phase they were in.
#[derive(Debug, Default)]
pub struct Timeouts {
    /// Silent between two requests.
    pub idle: Counter,
    /// Too slow with a head.
    pub head: Counter,
    /// Too slow with a body.
    pub body: Counter,
    /// Too slow in taking an answer.
    pub write: Counter,
}

/// The counters of one core. 128 bytes, because x86 fetches cache lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreMetrics {
    /// Answers by route and status class.
    pub requests: Requests,
    /// Verifications by outcome.
    pub verdicts: Verdicts,
    /// Connections that ran into a deadline.
    pub timeouts: Timeouts,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open now.
    pub connections_open: Counter,
    /// Failures to accept.
    pub accept_errors: Counter,
    /// Panics caught at a connection.
    pub panics: Counter,
    /// Requests that the control plane had no room for.
    pub overloads: Counter,
    /// Verifications that waited for the disk.
    pub disk_reads: Counter,
}

/// The counters of all cores.
#[derive(Debug)]
pub struct ServerMetrics {
    /// One entry per worker.
    pub cores: Box<[Arc<CoreMetrics>]>,
}

impl ServerMetrics {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            cores: std::iter::repeat_with(Arc::default).take(workers).collect(),
        }
    }

    /// The sum of one counter over all cores.
    pub fn sum(&self, counter: impl Fn(&CoreMetrics) -> u64) -> u64 {
        self.cores.iter().map(|core| counter(core)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_under_its_route_and_class() {
        let metrics = ServerMetrics::new(2);
        for (core, status) in metrics.cores.iter().zip([200, 503]) {
            core.requests.count(Route::Ready, status);
            core.requests.count(Route::Verify, 404);
        }
        assert_eq!(metrics.sum(|core| core.requests.total()), 4);
        assert_eq!(metrics.sum(|core| core.requests.ready.success.get()), 1);
        assert_eq!(
            metrics.sum(|core| core.requests.ready.server_error.get()),
            1
        );
        assert_eq!(
            metrics.sum(|core| core.requests.of(Route::Verify).client_error.get()),
            2
        );
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert_eq!(align_of::<CoreMetrics>(), 128);
    }
}
