//! Requests by endpoint: answers by status, durations, and how many are in flight.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use talos_api::control::ControlRequest;
use talos_metrics::{Exposition, Family, Histogram};

/// Bucket bounds, from a synced write on an idle fast disk to one on a disk in trouble.
const BOUNDS: [Duration; 13] = [
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Counters of all requests.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The lock is held for a few additions per request. The hot path never takes it.
    by_labels: Mutex<BTreeMap<Labels, Answers>>,
    in_flight: AtomicU64,
}

/// Method and route template, both as labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Labels {
    method: &'static str,
    template: &'static str,
}

#[derive(Debug)]
struct Answers {
    by_status: BTreeMap<u16, u64>,
    durations: Histogram<{ BOUNDS.len() }>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            by_status: BTreeMap::new(),
            durations: Histogram::new(&BOUNDS),
        }
    }
}

impl Labels {
    fn of(request: &ControlRequest) -> Self {
        Self {
            method: method_label(request.method),
            template: request.template,
        }
    }

    fn pairs(&self) -> [(&'static str, &'static str); 2] {
        [("method", self.method), ("endpoint", self.template)]
    }
}

/// The label of a route's method. `HEAD` counts as `GET`, as it does in the data plane.
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

impl Requests {
    fn answers(&self) -> MutexGuard<'_, BTreeMap<Labels, Answers>> {
        // A panic while the lock is held leaves sums that are too small by one at most.
        let locked = self.by_labels.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds answered requests to `family`, with the labels `method`, `code` and `endpoint`.
    pub(super) fn counts(&self, family: &mut Family<'_>) {
        for (labels, answers) in &*self.answers() {
            for (status, count) in &answers.by_status {
                let [method, template] = labels.pairs();
                family.sample(&[method, ("code", &status.to_string()), template], *count);
            }
        }
    }

    /// Writes durations and requests in flight.
    pub(super) fn expose(&self, page: &mut Exposition) {
        let mut durations = page.histogram(
            "http_request_duration_seconds",
            "From the acceptance of a request by the control plane to its answer. Routes answered in place are not timed.",
        );
        for (labels, answers) in &*self.answers() {
            durations.sample(&labels.pairs(), &answers.durations);
        }
        page.gauge(
            "http_requests_in_flight",
            "Requests that wait for the control plane or run there.",
        )
        .sample(&[], self.in_flight.load(Relaxed));
    }
}

/// Times one request. The request is in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct RequestTimer {
    labels: Labels,
    start: Instant,
    requests: Arc<Requests>,
}

impl RequestTimer {
    pub(super) fn start(request: &ControlRequest, requests: &Arc<Requests>) -> Self {
        requests.in_flight.fetch_add(1, Relaxed);
        Self {
            labels: Labels::of(request),
            start: Instant::now(),
            requests: Arc::clone(requests),
        }
    }

    /// Counts the answer and its duration. A timer that is dropped without this counts neither.
    pub(crate) fn answered(self, status: u16) {
        let duration = self.start.elapsed();
        let mut answers = self.requests.answers();
        let answers = answers.entry(self.labels).or_default();
        *answers.by_status.entry(status).or_default() += 1;
        answers.durations.observe(duration);
    }
}

impl Drop for RequestTimer {
    fn drop(&mut self) {
        self.requests.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use talos_api::route::{self, Endpoint, PathKeyId, Resolution, Surface};
    use talos_model::TenantId;

    use super::*;

    const ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    fn request(method: &str, path: &str) -> ControlRequest {
        let (endpoint, method, template) = match route::resolve(Surface::All, method, path) {
            Resolution::Control(route) => (route.endpoint, route.method, route.template),
            _ => (Endpoint::Version, "other", "unknown"),
        };
        ControlRequest {
            endpoint,
            method,
            template,
            key_id: PathKeyId::NONE,
            tenant: TenantId::SINGLE,
            tenant_of_host: None,
            path: path.to_owned(),
            query: String::new(),
            host: "localhost".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            request_id: "r".to_owned(),
            client_ip: None,
            principal: None,
            sealed_body: None,
        }
    }

    fn page(requests: &Requests) -> String {
        let mut page = Exposition::default();
        requests.counts(&mut page.counter("r", "Requests."));
        requests.expose(&mut page);
        page.into_text()
    }

    #[test]
    fn labels_are_templates_whatever_was_sent() {
        let requests = Arc::new(Requests::default());
        let path = format!("/v2alpha1/admin/issuedApiKeys/{ID}");
        for (method, path, status) in [
            ("GET", path.as_str(), 200),
            ("HEAD", &path, 200),
            ("GET", &path, 404),
            ("BREW", "/coffee", 404),
            ("BREW", &path, 405),
        ] {
            RequestTimer::start(&request(method, path), &requests).answered(status);
        }
        let page = page(&requests);
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
        let requests = Arc::new(Requests::default());
        let in_flight = || requests.in_flight.load(Relaxed);
        let first = RequestTimer::start(&request("GET", "/version"), &requests);
        let second = RequestTimer::start(&request("GET", "/version"), &requests);
        assert_eq!(in_flight(), 2);
        first.answered(200);
        assert_eq!(in_flight(), 1);
        drop(second);
        assert_eq!(in_flight(), 0);
        assert!(page(&requests).contains(
            "\nhttp_request_duration_seconds_count{method=\"GET\",endpoint=\"/version\"} 1\n"
        ));
    }
}
