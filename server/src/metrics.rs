//! Counters of the data plane.
//!
//! Guarantees: only its own core writes a counter, so counting is a load, an add and a store
//! without a locked instruction; any thread may read it at any time and sees a recent value; the
//! counters of two cores share no cache line.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use talos_api::route::HotRoute;
use talos_model::{CacheStatus, Refusal};

/// A number that one core writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one. Only the owning core may call this.
    pub(crate) fn increment(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }

    /// Replaces the value. Only the owning core may call this.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// A recent value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a request is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Verify one credential.
    Verify,
    /// Verify many credentials.
    BatchVerify,
    /// Verify the credential of the `Authorization` field.
    VerifyBearer,
    /// `/health/alive`.
    Alive,
    /// `/health/ready`.
    Ready,
    /// The preflight of a browser before a cross-origin request.
    Preflight,
    /// Every request that the control plane answers.
    Control,
    /// A path or a method that no route has.
    Unknown,
    /// Bytes that are no valid request.
    Malformed,
}

impl Route {
    /// All routes, in the order of [`CoreMetrics::requests`].
    pub const ALL: [Self; 9] = [
        Self::Verify,
        Self::BatchVerify,
        Self::VerifyBearer,
        Self::Alive,
        Self::Ready,
        Self::Preflight,
        Self::Control,
        Self::Unknown,
        Self::Malformed,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => HotRoute::Verify.template(),
            Self::BatchVerify => HotRoute::BatchVerify.template(),
            Self::VerifyBearer => HotRoute::VerifyBearer.template(),
            Self::Alive => HotRoute::Alive.template(),
            Self::Ready => HotRoute::Ready.template(),
            Self::Preflight => "preflight",
            Self::Control => "control",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
        }
    }
}

/// The statuses with a counter of their own, the most frequent first.
pub const STATUSES: [u16; 18] = [
    200, 201, 204, 400, 401, 404, 405, 408, 409, 413, 414, 417, 429, 431, 500, 503, 504, 505,
];

/// The answers of one route by status.
#[derive(Debug, Default)]
pub struct StatusCounts {
    /// In the order of [`STATUSES`].
    listed: [Counter; STATUSES.len()],
    other: Counter,
}

impl StatusCounts {
    /// The counter of a status. All statuses outside [`STATUSES`] share one.
    #[must_use]
    pub fn of(&self, status: u16) -> &Counter {
        STATUSES
            .iter()
            .zip(&self.listed)
            .find(|(listed, _)| **listed == status)
            .map_or(&self.other, |(_, counter)| counter)
    }

    /// Answers with a status outside [`STATUSES`].
    #[must_use]
    pub fn other(&self) -> &Counter {
        &self.other
    }

    /// The number of all answers.
    #[must_use]
    pub fn total(&self) -> u64 {
        let listed: u64 = self.listed.iter().map(Counter::get).sum();
        listed + self.other.get()
    }
}

/// Answers by route.
#[derive(Debug, Default)]
pub struct Requests {
    /// [`Route::Verify`].
    pub verify: StatusCounts,
    /// [`Route::BatchVerify`].
    pub batch_verify: StatusCounts,
    /// [`Route::VerifyBearer`].
    pub verify_bearer: StatusCounts,
    /// [`Route::Alive`].
    pub alive: StatusCounts,
    /// [`Route::Ready`].
    pub ready: StatusCounts,
    /// [`Route::Preflight`].
    pub preflight: StatusCounts,
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
            Route::BatchVerify => &self.batch_verify,
            Route::VerifyBearer => &self.verify_bearer,
            Route::Alive => &self.alive,
            Route::Ready => &self.ready,
            Route::Preflight => &self.preflight,
            Route::Control => &self.control,
            Route::Unknown => &self.unknown,
            Route::Malformed => &self.malformed,
        }
    }

    pub(crate) fn count(&self, route: Route, status: u16) {
        self.of(route).of(status).increment();
    }

    /// The number of answers of all routes.
    #[must_use]
    pub fn total(&self) -> u64 {
        Route::ALL
            .into_iter()
            .map(|route| self.of(route).total())
            .sum()
    }
}

/// The results of verifications.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// The credential is valid.
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
    /// [`Refusal::AnswerTooLarge`].
    pub answer_too_large: Counter,
}

impl Outcomes {
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
            Refusal::AnswerTooLarge => &self.answer_too_large,
        }
    }

    /// Every counter with its name in metrics.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Counter); 11] {
        [
            ("valid", &self.valid),
            ("invalid_format", &self.invalid_format),
            ("expired", &self.expired),
            ("revoked", &self.revoked),
            ("not_found", &self.not_found),
            ("signature_invalid", &self.signature_invalid),
            ("internal", &self.internal),
            ("ip_not_allowed", &self.ip_not_allowed),
            ("rate_limited", &self.rate_limited),
            ("audience_mismatch", &self.audience_mismatch),
            ("answer_too_large", &self.answer_too_large),
        ]
    }

    /// The number of all verifications.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.named()
            .into_iter()
            .map(|(_, counter)| counter.get())
            .sum()
    }
}

/// Verifications by the source of the answer. A verification writes one counter.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Answered from memory.
    pub hit: Outcomes,
    /// Answered from storage.
    pub miss: Outcomes,
    /// Answered from storage because the request demanded it.
    pub skip: Outcomes,
    /// Answered from storage for an administrator: no uses of keys.
    pub observed: Outcomes,
}

impl Verdicts {
    /// The outcomes of a cache status.
    #[must_use]
    pub fn of(&self, cache: CacheStatus) -> &Outcomes {
        match cache {
            CacheStatus::Hit => &self.hit,
            CacheStatus::Miss => &self.miss,
            CacheStatus::Skip => &self.skip,
            CacheStatus::Observed => &self.observed,
        }
    }
}

/// Requests refused because their client failed too often, by what it did.
#[derive(Debug, Default)]
pub struct Throttled {
    /// It verified credentials that are not valid.
    pub failures: Counter,
    /// It asked for revocations of its own keys.
    pub self_revocations: Counter,
}

/// Connections that missed a deadline, by phase.
#[derive(Debug, Default)]
pub struct Timeouts {
    /// Too long without a request.
    pub idle: Counter,
    /// Too slow with the handshake of TLS.
    pub handshake: Counter,
    /// Too slow with a head.
    pub head: Counter,
    /// Too slow with a body.
    pub body: Counter,
    /// Too slow in reading an answer.
    pub write: Counter,
}

/// Connections to listeners with TLS, by how they began.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// With a full handshake.
    pub full: Counter,
    /// With the ticket of an earlier session.
    pub resumed: Counter,
    /// The handshake failed, or the client left before its end.
    pub failed: Counter,
    /// The client spoke plain HTTP.
    pub plain: Counter,
}

/// The counters of one core. Aligned to 128 bytes, because x86 fetches cache lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreMetrics {
    /// Turns of the clock of the core. They stop when the core is stuck.
    pub ticks: Counter,
    /// Answers by route and status.
    pub requests: Requests,
    /// Verifications by cache status and outcome.
    pub verdicts: Verdicts,
    /// Connections that missed a deadline.
    pub timeouts: Timeouts,
    /// Connections within TLS.
    pub handshakes: Handshakes,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open now.
    pub connections_open: Counter,
    /// Connections ended to make place for others.
    pub connections_displaced: Counter,
    /// Connections accepted beyond the bound, to ask for the server's health.
    pub connections_reserved: Counter,
    /// Connections closed because their address had too many.
    pub connections_refused: Counter,
    /// Requests refused because their client failed too often.
    pub throttled: Throttled,
    /// The memory that connections hold beyond their first buffers, in bytes.
    pub memory_bytes: Counter,
    /// Errors of accepting a connection.
    pub accept_errors: Counter,
    /// Panics of request handlers and connections.
    pub panics: Counter,
    /// Requests refused because of full queues or a lack of memory for them.
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
    fn an_answer_is_counted_under_its_route_and_status() {
        let metrics = ServerMetrics::new(2);
        for (core, status) in metrics.cores.iter().zip([200, 503]) {
            core.requests.count(Route::Ready, status);
            core.requests.count(Route::Verify, 404);
        }
        assert_eq!(metrics.sum(|core| core.requests.total()), 4);
        let ready = |status| metrics.sum(|core| core.requests.ready.of(status).get());
        assert_eq!((ready(200), ready(503), ready(299)), (1, 1, 0));
        assert_eq!(
            metrics.sum(|core| core.requests.of(Route::Verify).of(404).get()),
            2
        );
    }

    #[test]
    fn every_status_is_counted_once() {
        let counts = StatusCounts::default();
        for status in 100..600 {
            counts.of(status).increment();
        }
        for status in STATUSES {
            assert_eq!(counts.of(status).get(), 1, "{status}");
        }
        assert_eq!(counts.other().get(), 500 - STATUSES.len() as u64);
        assert_eq!(counts.total(), 500);
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert_eq!(align_of::<CoreMetrics>(), 128);
    }
}
