//! The metrics page of the server process: where it is served, and which counter becomes which
//! sample.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use talos_admin::MetricsListener;
use talos_admin::metrics::ControlMetrics;
use talos_audit::AuditHandle;
use talos_engine::Engine;
use talos_metrics::Exposition;
use talos_model::Health;
use talos_model::clock::UnixMillis;
use talos_node::Node;
use talos_server::metrics::{CoreMetrics, Counter, Outcomes, Route, STATUSES, ServerMetrics};

use super::audit;
use super::development::{Development, METRICS_PORT};
use super::log_queue::LogQueue;
use super::reload::Configured;
use super::replication_metrics as replication;
use super::secrets;
use super::tls::Listeners;
use super::wall_clock::WallClock;
use crate::error::CliError;

/// Binds the metrics listener. If a development server cannot bind the default port, it logs a
/// warning and runs without metrics (`None`).
///
/// # Errors
/// [`CliError::Metrics`] when any other server or port cannot be bound.
pub(crate) fn bind(
    serve: &talos_config::Serve,
    development: Option<&Development>,
) -> Result<Option<MetricsListener>, CliError> {
    let address = serve.metrics.address();
    match bind_beside(address, serve.http.listener.address()) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if development.is_some() && address.port() == METRICS_PORT => {
            tracing::warn!(
                %address,
                %error,
                "no metrics are served; set TALOS_SERVE_METRICS_PORT to a free port"
            );
            Ok(None)
        }
        Err(source) => Err(CliError::Metrics { address, source }),
    }
}

/// Binds `address`, unless the API needs the same port. The API is bound later, and its error would
/// not name the metrics port as the cause.
fn bind_beside(address: SocketAddr, api: SocketAddr) -> io::Result<MetricsListener> {
    let same_host =
        address.ip() == api.ip() || address.ip().is_unspecified() || api.ip().is_unspecified();
    if same_host && address.port() == api.port() && api.port() != 0 {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "the port is in use by serve.http.port",
        ));
    }
    MetricsListener::bind(address)
}

/// The sources of the metrics.
pub(crate) struct Sources {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: Arc<ServerMetrics>,
    pub(crate) control: Arc<ControlMetrics>,
    /// The I/O driver of the data plane, as a label.
    pub(crate) driver: String,
    /// The replication node; `None` on a standalone server.
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) log: LogQueue,
    /// `None` without an audit log.
    pub(crate) audit: Option<AuditHandle>,
    pub(crate) started: UnixMillis,
    pub(crate) tls: Listeners,
    pub(crate) clock: WallClock,
    pub(crate) configured: Arc<Configured>,
}

impl Sources {
    /// Writes the page.
    pub(crate) fn expose(&self, page: &mut Exposition) {
        self.requests(page);
        self.control.expose(page);
        self.verifications(page);
        self.connections(page);
        self.tls.expose(page);
        self.configured.expose(page);
        self.process(page);
        audit::expose(page, self.audit.as_ref());
        self.clock.expose(page);
        secrets::expose(page, &self.engine);
        replication::expose(page, &self.engine, self.node.as_deref(), &self.clock);
    }

    fn sum(&self, counter: impl Fn(&CoreMetrics) -> &Counter) -> u64 {
        self.server.sum(|core| counter(core).get())
    }

    fn requests(&self, page: &mut Exposition) {
        let mut requests = page.counter(
            "http_requests_total",
            "Answers by method (HEAD counts as GET, and so does POST to /verify), status and route.",
        );
        for (route, method) in [
            (Route::Verify, "POST"),
            (Route::BatchVerify, "POST"),
            (Route::VerifyBearer, "GET"),
            (Route::Alive, "GET"),
            (Route::Ready, "GET"),
            (Route::Preflight, "OPTIONS"),
            (Route::Unknown, "other"),
            (Route::Malformed, "other"),
        ] {
            let mut sample = |code: &str, count: u64| {
                // Leave out statuses that a route has not answered with, or cannot.
                if count > 0 {
                    let labels = [
                        ("method", method),
                        ("code", code),
                        ("endpoint", route.name()),
                    ];
                    requests.sample(&labels, count);
                }
            };
            for status in STATUSES {
                let count = self.sum(|core| core.requests.of(route).of(status));
                sample(&status.to_string(), count);
            }
            let count = self.sum(|core| core.requests.of(route).other());
            sample("other", count);
        }
        self.control.requests(&mut requests);
        page.counter(
            "talos_control_overloads_total",
            "Requests answered with 503 because too many waited for the control plane, or too much memory was in use for requests and answers.",
        )
        .sample(&[], self.sum(|core| &core.overloads));
    }

    fn verifications(&self, page: &mut Exposition) {
        let mut verified = page.counter(
            "talos_keys_verified_total",
            "Verifications by result and by whether the answer came from memory.",
        );
        for (index, (result, _)) in Outcomes::default().named().into_iter().enumerate() {
            let count = |outcomes: &Outcomes| {
                let named = outcomes.named();
                named.get(index).map_or(0, |(_, counter)| counter.get())
            };
            let cached = self.server.sum(|core| count(&core.verdicts.hit));
            let read = self
                .server
                .sum(|core| count(&core.verdicts.miss) + count(&core.verdicts.skip));
            verified.sample(&[("result", result), ("cached", "true")], cached);
            verified.sample(&[("result", result), ("cached", "false")], read);
        }
        for (name, help, total) in [
            (
                "talos_cache_hits_total",
                "Verifications answered from memory.",
                self.server.sum(|core| core.verdicts.hit.total()),
            ),
            (
                "talos_cache_misses_total",
                "Verifications that memory could not answer.",
                self.server.sum(|core| core.verdicts.miss.total()),
            ),
            (
                "talos_cache_skips_total",
                "Verifications that were not to be answered from memory.",
                self.server.sum(|core| core.verdicts.skip.total()),
            ),
            (
                "talos_verifications_observed_total",
                "Verifications by administrators that are no uses of keys.",
                self.server.sum(|core| core.verdicts.observed.total()),
            ),
            (
                "talos_disk_reads_total",
                "Verifications that waited for the disk.",
                self.sum(|core| &core.disk_reads),
            ),
        ] {
            page.counter(name, help).sample(&[], total);
        }
        page.gauge(
            "talos_cache_bytes",
            "Memory of the cache: tables, keys and proofs.",
        )
        .sample(&[], self.engine.cache_used_bytes() as u64);
        page.gauge(
            "talos_rate_limit_bytes",
            "Memory in which it is counted how often keys are used.",
        )
        .sample(&[], self.engine.rate_limit_used_bytes() as u64);
        let last_used = self.engine.last_used_counts();
        for (name, help, total) in [
            (
                "talos_last_used_written_total",
                "Last uses of keys that were written.",
                last_used.written,
            ),
            (
                "talos_last_used_dropped_total",
                "Last uses of keys that were lost: the queue was full, or a write failed.",
                last_used.dropped,
            ),
        ] {
            page.counter(name, help).sample(&[], total);
        }
    }

    fn connections(&self, page: &mut Exposition) {
        page.counter("talos_connections_total", "Connections accepted.")
            .sample(&[], self.sum(|core| &core.connections));
        page.gauge("talos_connections_open", "Connections open now.")
            .sample(&[], self.sum(|core| &core.connections_open));
        page.counter(
            "talos_connections_displaced_total",
            "Connections ended to make place for others.",
        )
        .sample(&[], self.sum(|core| &core.connections_displaced));
        page.counter(
            "talos_connections_refused_total",
            "Connections closed at once because their address had as many as it may have.",
        )
        .sample(&[], self.sum(|core| &core.connections_refused));
        page.counter(
            "talos_connections_reserved_total",
            "Connections accepted, while all others were busy, to ask for the server's health.",
        )
        .sample(&[], self.sum(|core| &core.connections_reserved));
        let mut throttled = page.counter(
            "talos_throttled_total",
            "Requests answered with 429 because their client's address had failed too often.",
        );
        for (kind, count) in [
            ("failures", self.sum(|core| &core.throttled.failures)),
            (
                "self_revocations",
                self.sum(|core| &core.throttled.self_revocations),
            ),
        ] {
            throttled.sample(&[("kind", kind)], count);
        }
        page.gauge(
            "talos_connections_memory_bytes",
            "Memory of connections for requests and answers, without the initial 8 KiB of each.",
        )
        .sample(&[], self.sum(|core| &core.memory_bytes));
        page.counter(
            "talos_accept_errors_total",
            "Failures to accept a connection.",
        )
        .sample(&[], self.sum(|core| &core.accept_errors));
        let mut handshakes = page.counter(
            "talos_tls_handshakes_total",
            "Connections to listeners with TLS, by how they began.",
        );
        for (result, count) in [
            ("full", self.sum(|core| &core.handshakes.full)),
            ("resumed", self.sum(|core| &core.handshakes.resumed)),
            ("failed", self.sum(|core| &core.handshakes.failed)),
            ("plain_http", self.sum(|core| &core.handshakes.plain)),
        ] {
            handshakes.sample(&[("result", result)], count);
        }
        let mut timeouts = page.counter(
            "talos_timeouts_total",
            "Connections that ran into a deadline, by what they were waited for.",
        );
        for (phase, count) in [
            ("idle", self.sum(|core| &core.timeouts.idle)),
            ("handshake", self.sum(|core| &core.timeouts.handshake)),
            ("head", self.sum(|core| &core.timeouts.head)),
            ("body", self.sum(|core| &core.timeouts.body)),
            ("write", self.sum(|core| &core.timeouts.write)),
        ] {
            timeouts.sample(&[("phase", phase)], count);
        }
    }

    fn process(&self, page: &mut Exposition) {
        let mut panics = page.counter(
            "talos_panics_total",
            "Defects that ended a request or a connection, and nothing else.",
        );
        panics.sample(&[("plane", "data")], self.sum(|core| &core.panics));
        panics.sample(&[("plane", "control")], self.control.panics());
        page.gauge(
            "talos_writes_stopped",
            "1 when changes are refused until an operator has acted, else 0.",
        )
        .sample(&[], u64::from(self.engine.health() != Health::Ok));
        page.counter(
            "talos_log_lines_dropped_total",
            "Log lines that standard error was too slow for.",
        )
        .sample(&[], self.log.dropped());
        page.gauge("talos_build_info", "Always 1; the labels say what runs.")
            .sample(
                &[
                    ("version", env!("CARGO_PKG_VERSION")),
                    ("driver", &self.driver),
                ],
                1,
            );
        page.gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970.",
        )
        .seconds(
            &[],
            Duration::from_millis(u64::try_from(self.started.0).unwrap_or_default()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_keeps_its_port() {
        let kind = |metrics: &str, api: &str| {
            let address = |text: &str| text.parse().expect("an address");
            bind_beside(address(metrics), address(api)).map_err(|error| error.kind())
        };
        for (metrics, api) in [
            ("127.0.0.1:4777", "127.0.0.1:4777"),
            ("0.0.0.0:4777", "127.0.0.1:4777"),
            ("127.0.0.1:4777", "[::]:4777"),
        ] {
            assert_eq!(
                kind(metrics, api).err(),
                Some(io::ErrorKind::AddrInUse),
                "{metrics} {api}"
            );
        }
        assert!(kind("127.0.0.1:0", "127.0.0.1:0").is_ok());
        assert!(kind("127.0.0.1:0", "127.0.0.2:4777").is_ok());
    }
}
