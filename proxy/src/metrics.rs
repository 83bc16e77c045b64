//! Counters of the proxy and its metrics page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use talos_metrics::{Exposition, Histogram};

/// Bucket bounds, from a response from memory to an upstream in trouble.
const BOUNDS: [Duration; 14] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2_500),
    Duration::from_secs(10),
    Duration::from_secs(30),
];
type Durations = Histogram<{ BOUNDS.len() }>;
/// HTTP statuses have three digits.
const STATUSES: usize = 1000;

/// Counters that any thread may increment and read at any time.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Verifications answered from the cache.
    pub(crate) hits: AtomicU64,
    /// Verifications answered by the upstream.
    pub(crate) misses: AtomicU64,
    /// Connections ended to make place for others.
    pub(crate) evictions: AtomicU64,
    statuses: Box<[AtomicU64]>,
    failures: AtomicU64,
    latency: Durations,
    cached: Durations,
    uncached: Durations,
}

/// Where a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The cache.
    Cache,
    /// The upstream, or an error of the proxy itself.
    Elsewhere,
}

impl Metrics {
    /// All counters at zero.
    pub(crate) fn new() -> Self {
        Self {
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            statuses: (0..STATUSES).map(|_| AtomicU64::new(0)).collect(),
            failures: AtomicU64::new(0),
            latency: Histogram::new(&BOUNDS),
            cached: Histogram::new(&BOUNDS),
            uncached: Histogram::new(&BOUNDS),
        }
    }

    /// Counts a request to the upstream. `status` is `None` when it did not answer.
    pub(crate) fn upstream(&self, status: Option<u16>, latency: Duration) {
        let counter = status
            .and_then(|status| self.statuses.get(usize::from(status)))
            .unwrap_or(&self.failures);
        counter.fetch_add(1, Relaxed);
        self.latency.observe(latency);
    }

    /// Counts a response to a client.
    pub(crate) fn request(&self, source: Source, duration: Duration) {
        match source {
            Source::Cache => self.cached.observe(duration),
            Source::Elsewhere => self.uncached.observe(duration),
        }
    }

    /// Writes the page. `entries` and `bytes` describe the cache.
    pub(crate) fn page(&self, entries: u64, bytes: u64) -> String {
        let mut page = Exposition::default();
        page.counter(
            "talos_proxy_cache_hits_total",
            "Verifications answered from the cache.",
        )
        .sample(&[], self.hits.load(Relaxed));
        page.counter(
            "talos_proxy_cache_misses_total",
            "Verifications answered by the upstream.",
        )
        .sample(&[], self.misses.load(Relaxed));
        page.gauge(
            "talos_proxy_cache_entries",
            "Answers in the cache, those included that have ended and were not asked for since.",
        )
        .sample(&[], entries);
        page.gauge(
            "talos_proxy_cache_bytes",
            "What the answers in the cache take.",
        )
        .sample(&[], bytes);
        page.counter(
            "talos_proxy_connections_evicted_total",
            "Connections of clients ended to make place for others.",
        )
        .sample(&[], self.evictions.load(Relaxed));
        let mut requests = page.counter(
            "talos_proxy_upstream_requests_total",
            "Requests to the upstream by the status of its answer; error = it gave none.",
        );
        for (status, count) in self.statuses.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                requests.sample(&[("status", &status.to_string())], count);
            }
        }
        requests.sample(&[("status", "error")], self.failures.load(Relaxed));
        page.histogram(
            "talos_proxy_upstream_latency_seconds",
            "From a request to the upstream to the head of its answer.",
        )
        .sample(&[], &self.latency);
        let mut durations = page.histogram(
            "talos_proxy_request_duration_seconds",
            "From the head of a client's request to that of its answer.",
        );
        durations.sample(&[("cached", "true")], &self.cached);
        durations.sample(&[("cached", "false")], &self.uncached);
        page.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_every_counter() {
        let metrics = Metrics::new();
        metrics.hits.fetch_add(3, Relaxed);
        metrics.misses.fetch_add(2, Relaxed);
        metrics.evictions.fetch_add(4, Relaxed);
        metrics.upstream(Some(200), Duration::from_millis(1));
        metrics.upstream(Some(200), Duration::from_secs(60));
        metrics.upstream(Some(404), Duration::from_micros(1));
        metrics.upstream(None, Duration::ZERO);
        metrics.request(Source::Cache, Duration::from_micros(60));
        metrics.request(Source::Elsewhere, Duration::from_millis(2));
        let page = metrics.page(7, 8);
        for line in [
            "talos_proxy_cache_hits_total 3",
            "talos_proxy_cache_misses_total 2",
            "talos_proxy_cache_entries 7",
            "talos_proxy_cache_bytes 8",
            "talos_proxy_connections_evicted_total 4",
            "talos_proxy_upstream_requests_total{status=\"200\"} 2",
            "talos_proxy_upstream_requests_total{status=\"404\"} 1",
            "talos_proxy_upstream_requests_total{status=\"error\"} 1",
            "# TYPE talos_proxy_upstream_latency_seconds histogram",
            "talos_proxy_upstream_latency_seconds_bucket{le=\"0.00005\"} 2",
            "talos_proxy_upstream_latency_seconds_bucket{le=\"0.001\"} 3",
            "talos_proxy_upstream_latency_seconds_bucket{le=\"30\"} 3",
            "talos_proxy_upstream_latency_seconds_bucket{le=\"+Inf\"} 4",
            "talos_proxy_upstream_latency_seconds_sum 60.001001",
            "talos_proxy_upstream_latency_seconds_count 4",
            "talos_proxy_request_duration_seconds_bucket{cached=\"true\",le=\"0.0001\"} 1",
            "talos_proxy_request_duration_seconds_count{cached=\"true\"} 1",
            "talos_proxy_request_duration_seconds_sum{cached=\"false\"} 0.002",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains("status=\"500\""));
    }
}
