//! The counters and the part of the metrics page that shows them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use talos_api::batch_import::ItemOutcome;
use talos_api::control::ControlRequest;
use talos_credentials::token::TokenType;
use talos_metrics::{Exposition, Family};
use talos_model::RevocationReason;

use crate::metrics::requests::{RequestTimer, Requests};
use crate::metrics::streams::{OpenStream, StreamKind, Streams};

/// Counters of the control plane, readable by any thread at any time.
#[derive(Debug, Default)]
pub struct ControlMetrics {
    requests: Arc<Requests>,
    streams: Arc<Streams>,
    panics: AtomicU64,
    keys_created: AtomicU64,
    keys_revoked: Revocations,
    keys_rotated: AtomicU64,
    keys_deleted: AtomicU64,
    batch_items: BatchItems,
    jwts_minted: AtomicU64,
    macaroons_minted: AtomicU64,
}

#[derive(Debug, Default)]
struct Revocations {
    unspecified: AtomicU64,
    key_compromise: AtomicU64,
    affiliation_changed: AtomicU64,
    superseded: AtomicU64,
    privilege_withdrawn: AtomicU64,
}

#[derive(Debug, Default)]
struct BatchItems {
    imported: AtomicU64,
    invalid_argument: AtomicU64,
    already_exists: AtomicU64,
    failed_precondition: AtomicU64,
    resource_exhausted: AtomicU64,
    internal: AtomicU64,
}

impl Revocations {
    fn of(&self, reason: RevocationReason) -> &AtomicU64 {
        match reason {
            RevocationReason::Unspecified => &self.unspecified,
            RevocationReason::KeyCompromise => &self.key_compromise,
            RevocationReason::AffiliationChanged => &self.affiliation_changed,
            RevocationReason::Superseded => &self.superseded,
            RevocationReason::PrivilegeWithdrawn => &self.privilege_withdrawn,
        }
    }

    fn named(&self) -> [(&'static str, &AtomicU64); 5] {
        [
            ("unspecified", &self.unspecified),
            ("key_compromise", &self.key_compromise),
            ("affiliation_changed", &self.affiliation_changed),
            ("superseded", &self.superseded),
            ("privilege_withdrawn", &self.privilege_withdrawn),
        ]
    }
}

impl BatchItems {
    /// The name of an outcome, and its counter.
    fn of(&self, outcome: ItemOutcome) -> (&'static str, &AtomicU64) {
        match outcome {
            ItemOutcome::Imported => ("imported", &self.imported),
            ItemOutcome::InvalidArgument => ("invalid_argument", &self.invalid_argument),
            ItemOutcome::AlreadyExists => ("already_exists", &self.already_exists),
            ItemOutcome::FailedPrecondition => ("failed_precondition", &self.failed_precondition),
            ItemOutcome::ResourceExhausted => ("resource_exhausted", &self.resource_exhausted),
            ItemOutcome::Internal => ("internal", &self.internal),
        }
    }
}

impl ControlMetrics {
    /// Starts to time a request. Call it before the request is queued.
    pub(crate) fn start_request(&self, request: &ControlRequest) -> RequestTimer {
        RequestTimer::start(request, &self.requests)
    }

    pub(crate) fn handler_panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    pub(crate) fn key_created(&self) {
        self.keys_created.fetch_add(1, Relaxed);
    }

    pub(crate) fn key_revoked(&self, reason: RevocationReason) {
        self.keys_revoked(reason, 1);
    }

    pub(crate) fn keys_revoked(&self, reason: RevocationReason, count: u64) {
        self.keys_revoked.of(reason).fetch_add(count, Relaxed);
    }

    pub(crate) fn key_rotated(&self) {
        self.keys_rotated.fetch_add(1, Relaxed);
    }

    pub(crate) fn key_deleted(&self) {
        self.keys_deleted.fetch_add(1, Relaxed);
    }

    pub(crate) fn batch_item(&self, outcome: ItemOutcome) {
        let (_, count) = self.batch_items.of(outcome);
        count.fetch_add(1, Relaxed);
    }

    /// Counts a stream as open until the returned value is dropped.
    pub(crate) fn stream(&self, kind: StreamKind) -> OpenStream {
        OpenStream::new(kind, &self.streams)
    }

    pub(crate) fn token_minted(&self, token_type: TokenType) {
        self.minted(token_type).fetch_add(1, Relaxed);
    }

    fn minted(&self, token_type: TokenType) -> &AtomicU64 {
        match token_type {
            TokenType::Jwt => &self.jwts_minted,
            TokenType::Macaroon => &self.macaroons_minted,
        }
    }

    /// The number of requests whose handler panicked. They were answered with 500.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// Adds the control plane's answers to `family`, with the labels `method`, `code` and
    /// `endpoint`. The data plane adds its own to the same family.
    pub fn requests(&self, family: &mut Family<'_>) {
        self.requests.counts(family);
    }

    /// Writes the families that only the control plane has samples for.
    pub fn expose(&self, page: &mut Exposition) {
        self.requests.expose(page);
        page.counter(
            "talos_keys_created_total",
            "Keys issued or imported, without repetitions of a request.",
        )
        .sample(&[], self.keys_created.load(Relaxed));
        let mut revoked = page.counter("talos_keys_revoked_total", "Keys revoked, by reason.");
        for (reason, count) in self.keys_revoked.named() {
            revoked.sample(&[("reason", reason)], count.load(Relaxed));
        }
        page.counter(
            "talos_keys_rotated_total",
            "Keys replaced by rotation; they count neither as created nor as revoked.",
        )
        .sample(&[], self.keys_rotated.load(Relaxed));
        page.counter("talos_keys_deleted_total", "Imported keys deleted.")
            .sample(&[], self.keys_deleted.load(Relaxed));
        let mut minted = page.counter(
            "talos_tokens_minted_total",
            "Tokens derived from keys, by algorithm.",
        );
        for token_type in [TokenType::Jwt, TokenType::Macaroon] {
            let count = self.minted(token_type).load(Relaxed);
            minted.sample(&[("algorithm", token_type.name())], count);
        }
        self.streams.expose(page);
        let mut batch_items = page.counter(
            "talos_batch_import_keys_total",
            "Keys of batch imports, by what became of them.",
        );
        for outcome in ItemOutcome::ALL {
            let (name, count) = self.batch_items.of(outcome);
            batch_items.sample(&[("outcome", name)], count.load(Relaxed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        let metrics = ControlMetrics::default();
        for reason in [
            RevocationReason::Unspecified,
            RevocationReason::KeyCompromise,
            RevocationReason::AffiliationChanged,
            RevocationReason::Superseded,
            RevocationReason::PrivilegeWithdrawn,
        ] {
            metrics.key_revoked(reason);
        }
        let counts = metrics.keys_revoked.named();
        assert!(counts.iter().all(|(_, count)| count.load(Relaxed) == 1));
    }

    #[test]
    fn every_outcome_of_a_batch_has_its_own_counter() {
        let metrics = ControlMetrics::default();
        for outcome in ItemOutcome::ALL {
            metrics.batch_item(outcome);
        }
        for outcome in ItemOutcome::ALL {
            let (name, count) = metrics.batch_items.of(outcome);
            assert_eq!(count.load(Relaxed), 1, "{name}");
        }
    }
}
