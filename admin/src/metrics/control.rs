//! What the control plane counts.
//!
//! It guarantees that the labels are a closed set, whatever clients send: methods, route templates, statuses and reasons,
//! never a path, an id or a credential. The lock is held for a few additions only, on the way of requests that wait for
//! a disk; the hot path never comes here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use talos_api::batch_import::ItemOutcome;
use talos_api::control::ControlRequest;
use talos_engine::RevocationReason;
use talos_engine::token::TokenType;

use crate::metrics::exposition::{Exposition, Family, Kind};
use crate::metrics::histogram::Histogram;

/// Counters of the control plane, readable by any thread at any time.
#[derive(Debug, Default)]
pub struct ControlMetrics {
    answers: Mutex<BTreeMap<Endpoint, Answers>>,
    in_flight: AtomicU64,
    panics: AtomicU64,
    keys_created: AtomicU64,
    keys_revoked: Revocations,
    keys_rotated: AtomicU64,
    keys_deleted: AtomicU64,
    batch_items: BatchItems,
    jwts_minted: AtomicU64,
    macaroons_minted: AtomicU64,
    change_streams: AtomicU64,
    backup_streams: AtomicU64,
}

/// What a stream sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamKind {
    /// Changes as they happen.
    Changes,
    /// Everything as it was at one position.
    Backup,
}

impl StreamKind {
    const ALL: [Self; 2] = [Self::Changes, Self::Backup];

    const fn name(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Backup => "backup",
        }
    }
}

/// A stream that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream {
    kind: StreamKind,
    metrics: Arc<ControlMetrics>,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let open = self.metrics.streams(self.kind);
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Endpoint {
    method: &'static str,
    template: &'static str,
}

#[derive(Debug, Default)]
struct Answers {
    by_status: BTreeMap<u16, u64>,
    durations: Histogram,
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

impl Endpoint {
    fn of(request: &ControlRequest) -> Self {
        Self {
            method: method_label(request.method),
            template: request.template,
        }
    }

    fn labels(&self) -> [(&'static str, &'static str); 2] {
        [("method", self.method), ("endpoint", self.template)]
    }
}

/// The method of a route. `HEAD` is `GET` without a body, and the data plane does not count the two apart.
fn method_label(method: &str) -> &'static str {
    match method {
        "GET" | "HEAD" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
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
    /// A request that takes its place before the control plane.
    pub(crate) fn start_request(self: &Arc<Self>, request: &ControlRequest) -> RequestTimer {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        RequestTimer {
            endpoint: Endpoint::of(request),
            entered: Instant::now(),
            metrics: Arc::clone(self),
        }
    }

    pub(crate) fn handler_panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_created(&self) {
        self.keys_created.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_revoked(&self, reason: RevocationReason) {
        self.keys_revoked.of(reason).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn keys_revoked(&self, reason: RevocationReason, count: u64) {
        self.keys_revoked
            .of(reason)
            .fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn key_rotated(&self) {
        self.keys_rotated.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn key_deleted(&self) {
        self.keys_deleted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn batch_item(&self, outcome: ItemOutcome) {
        let (_, count) = self.batch_items.of(outcome);
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// A stream that begins.
    pub(crate) fn stream(self: &Arc<Self>, kind: StreamKind) -> OpenStream {
        self.streams(kind).fetch_add(1, Ordering::Relaxed);
        OpenStream {
            kind,
            metrics: Arc::clone(self),
        }
    }

    fn streams(&self, kind: StreamKind) -> &AtomicU64 {
        match kind {
            StreamKind::Changes => &self.change_streams,
            StreamKind::Backup => &self.backup_streams,
        }
    }

    pub(crate) fn token_minted(&self, token_type: TokenType) {
        self.minted(token_type).fetch_add(1, Ordering::Relaxed);
    }

    fn minted(&self, token_type: TokenType) -> &AtomicU64 {
        match token_type {
            TokenType::Jwt => &self.jwts_minted,
            TokenType::Macaroon => &self.macaroons_minted,
        }
    }

    /// How many requests ended in a panic and were answered with 500.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    fn answers(&self) -> MutexGuard<'_, BTreeMap<Endpoint, Answers>> {
        // Sums stay sums, should a thread have panicked between two of them.
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the requests that were answered here to `family`, under `method`, `code` and `endpoint`.
    pub fn requests(&self, family: &mut Family<'_>) {
        for (endpoint, answers) in &*self.answers() {
            for (status, count) in &answers.by_status {
                let [method, template] = endpoint.labels();
                family.sample(&[method, ("code", &status.to_string()), template], *count);
            }
        }
    }

    /// Adds the families that nobody else has samples for.
    pub fn expose(&self, page: &mut Exposition) {
        let mut durations = page.histograms(
            "http_request_duration_seconds",
            "From the acceptance of a request by the control plane to its answer. Routes answered in place are not timed.",
        );
        for (endpoint, answers) in &*self.answers() {
            durations.histogram(&endpoint.labels(), &answers.durations);
        }
        page.family(
            "http_requests_in_flight",
            Kind::Gauge,
            "Requests that wait for the control plane or run there.",
        )
        .sample(&[], self.in_flight.load(Ordering::Relaxed));
        page.family(
            "talos_keys_created_total",
            Kind::Counter,
            "Keys issued or imported, without repetitions of a request.",
        )
        .sample(&[], self.keys_created.load(Ordering::Relaxed));
        let mut revoked = page.family(
            "talos_keys_revoked_total",
            Kind::Counter,
            "Keys revoked, by reason.",
        );
        for (reason, count) in self.keys_revoked.named() {
            revoked.sample(&[("reason", reason)], count.load(Ordering::Relaxed));
        }
        page.family(
            "talos_keys_rotated_total",
            Kind::Counter,
            "Keys replaced by rotation; they count neither as created nor as revoked.",
        )
        .sample(&[], self.keys_rotated.load(Ordering::Relaxed));
        page.family(
            "talos_keys_deleted_total",
            Kind::Counter,
            "Imported keys deleted.",
        )
        .sample(&[], self.keys_deleted.load(Ordering::Relaxed));
        let mut minted = page.family(
            "talos_tokens_minted_total",
            Kind::Counter,
            "Tokens derived from keys, by algorithm.",
        );
        for token_type in [TokenType::Jwt, TokenType::Macaroon] {
            let count = self.minted(token_type).load(Ordering::Relaxed);
            minted.sample(&[("algorithm", token_type.name())], count);
        }
        let mut streams = page.family(
            "talos_streams_open",
            Kind::Gauge,
            "Answers that are being sent part by part, by what they hold.",
        );
        for kind in StreamKind::ALL {
            let count = self.streams(kind).load(Ordering::Relaxed);
            streams.sample(&[("kind", kind.name())], count);
        }
        let mut batch_items = page.family(
            "talos_batch_import_keys_total",
            Kind::Counter,
            "Keys of batch imports, by what became of them.",
        );
        for outcome in ItemOutcome::ALL {
            let (name, count) = self.batch_items.of(outcome);
            batch_items.sample(&[("outcome", name)], count.load(Ordering::Relaxed));
        }
    }
}

/// A request on its way through the control plane; in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    endpoint: Endpoint,
    entered: Instant,
    metrics: Arc<ControlMetrics>,
}

impl RequestTimer {
    /// The request is answered with this status.
    pub(crate) fn answered(self, status: u16) {
        let duration = self.entered.elapsed();
        let mut answers = self.metrics.answers();
        let answers = answers.entry(self.endpoint).or_default();
        *answers.by_status.entry(status).or_default() += 1;
        answers.durations.observe(duration);
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use talos_api::route::{self, Endpoint, Match, PathKeyId};
    use talos_engine::TenantId;

    use super::*;

    const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    fn request(method: &str, path: &str) -> ControlRequest {
        let (endpoint, method, template) = match route::find(method, path) {
            Match::Found {
                endpoint,
                method,
                template,
                ..
            } => (endpoint, method, template),
            Match::NotFound | Match::MethodNotAllowed(_) => (Endpoint::Version, "other", "unknown"),
        };
        ControlRequest {
            endpoint,
            method,
            template,
            key_id: PathKeyId::NONE,
            tenant: TenantId::SINGLE,
            path: path.to_owned(),
            query: String::new(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            request_id: "r".to_owned(),
            client_ip: None,
        }
    }

    fn page(metrics: &ControlMetrics) -> String {
        let mut page = Exposition::default();
        metrics.requests(&mut page.family("r", Kind::Counter, "Requests."));
        metrics.expose(&mut page);
        page.into_text()
    }

    #[test]
    fn labels_are_templates_whatever_was_sent() {
        let metrics = Arc::new(ControlMetrics::default());
        let path = format!("/v2alpha1/admin/issuedApiKeys/{ID}");
        for (method, path, status) in [
            ("GET", path.as_str(), 200),
            ("HEAD", &path, 200),
            ("GET", &path, 404),
            ("BREW", "/coffee", 404),
            ("BREW", &path, 405),
        ] {
            metrics
                .start_request(&request(method, path))
                .answered(status);
        }
        let page = page(&metrics);
        for line in [
            r#"r{method="GET",code="200",endpoint="/v2alpha1/admin/issuedApiKeys/{key_id}"} 2"#,
            r#"r{method="GET",code="404",endpoint="/v2alpha1/admin/issuedApiKeys/{key_id}"} 1"#,
            r#"r{method="other",code="404",endpoint="unknown"} 1"#,
            r#"r{method="other",code="405",endpoint="unknown"} 1"#,
        ] {
            assert!(page.lines().any(|other| other == line), "{line}\n{page}");
        }
        for word in [ID, "coffee", "BREW"] {
            assert!(!page.contains(word), "{word}\n{page}");
        }
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_answered_or_given_up() {
        let metrics = Arc::new(ControlMetrics::default());
        let in_flight = || metrics.in_flight.load(Ordering::Relaxed);
        let first = metrics.start_request(&request("GET", "/version"));
        let second = metrics.start_request(&request("GET", "/version"));
        assert_eq!(in_flight(), 2);
        first.answered(200);
        assert_eq!(in_flight(), 1);
        drop(second);
        assert_eq!(in_flight(), 0);
        assert!(page(&metrics).contains(
            "\nhttp_request_duration_seconds_count{method=\"GET\",endpoint=\"/version\"} 1\n"
        ));
    }

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
        assert!(
            counts
                .iter()
                .all(|(_, count)| count.load(Ordering::Relaxed) == 1)
        );
    }

    #[test]
    fn every_outcome_of_a_batch_has_its_own_counter() {
        let metrics = ControlMetrics::default();
        for outcome in ItemOutcome::ALL {
            metrics.batch_item(outcome);
        }
        for outcome in ItemOutcome::ALL {
            let (name, count) = metrics.batch_items.of(outcome);
            assert_eq!(count.load(Ordering::Relaxed), 1, "{name}");
        }
    }
}
