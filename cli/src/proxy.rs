//! `talos proxy`: assembles the edge proxy, waits for a signal, and stops the proxy.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use talos_config::{Log, LogFormat, LogLevel};
use talos_model::duration;
use talos_proxy::{
    AllowedHosts, CacheSettings, ClaimedAddresses, ConnectionLimits, HostSource,
    InvalidUpstreamUrl, Proxy, ProxySettings, UpstreamUrl, limits,
};
use talos_tls::{Certified, ClientAuthority, ClientCertificate, ClientFiles, ServerFiles};

use crate::error::CliError;
use crate::serve::log_queue::LogQueue;
use crate::serve::signals::Signals;
use crate::serve::{logging, process};
use crate::service_manager::ServiceManager;

/// Descriptors that are no connections: the log, the runtime, files that are read.
const OWN_DESCRIPTORS: u64 = 64;

/// The arguments of `talos proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyCommand {
    /// The Talos server: http:// or https://, a host and optionally a port
    #[arg(long, value_name = "URL", value_parser = parse_upstream)]
    upstream: UpstreamUrl,

    /// Certificate authorities (PEM) for the certificate of the upstream; default: those that
    /// browsers trust
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,

    /// Certificate (PEM) that the proxy presents to the upstream
    #[arg(long, value_name = "FILE", requires = "upstream_key")]
    upstream_cert: Option<PathBuf>,

    /// Private key (PEM) of --upstream-cert
    #[arg(long, value_name = "FILE", requires = "upstream_cert")]
    upstream_key: Option<PathBuf>,

    /// How long the upstream may take to begin an answer, at most 60s; shorter than --stall-timeout
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = upstream_timeout)]
    upstream_timeout: Duration,

    /// Where to listen; without a host: on all addresses
    #[arg(long, value_name = "[HOST]:PORT", default_value = ":8080", value_parser = parse_listen)]
    listen: SocketAddr,

    /// Certificate (PEM, its intermediates after it) for clients; with it, clients must use https.
    /// Renewed files are used without a restart
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Serve only clients with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,

    /// Connections of clients at the same time, from 32 to 262144; for one more, another is closed
    #[arg(long, value_name = "N", default_value_t = limits::CONNECTIONS, value_parser = connections)]
    connections: usize,

    /// Connections from one address (IPv6: one network of 64 bits) at the same time; default: as
    /// many as --connections
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections_per_address: Option<u32>,

    /// How long a client may take to send the head of a request, including the idle time before it;
    /// from 1s to 10m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = head_timeout)]
    head_timeout: Duration,

    /// How long a connection may stay without a byte in either direction, and how long a client may
    /// take to read 16 KiB of an answer; from 1s to 10m
    #[arg(long, value_name = "DURATION", default_value = "75s", value_parser = stall_timeout)]
    stall_timeout: Duration,

    /// How long a verification may be answered from memory; a revocation on the server takes effect
    /// within this time
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration::parse)]
    cache_ttl: Duration,

    /// Memory limit for all answers; 0 = keep none
    #[arg(long, value_name = "BYTES", default_value_t = 104_857_600)]
    cache_max_size: u64,

    /// Expected number of answers; the cache estimates how often about this many are used
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    cache_num_counters: u32,

    /// Serve only these hosts; default: all
    #[arg(long, value_name = "HOST,…", value_delimiter = ',')]
    allowed_hosts: Vec<String>,

    /// Take the host of a request from the first X-Forwarded-Host
    #[arg(long)]
    trust_x_forwarded_host: bool,

    /// Replace X-Forwarded-For with the address of the client, and remove X-Real-Ip and the like:
    /// clients cannot claim another address
    #[arg(long)]
    replace_x_forwarded_for: bool,

    /// Lowest level that is logged
    #[arg(
        long,
        value_enum,
        value_name = "LEVEL",
        env = "TALOS_LOG_LEVEL",
        default_value = "info"
    )]
    log_level: Level,

    /// Format of a log line
    #[arg(
        long,
        value_enum,
        value_name = "FORMAT",
        env = "TALOS_LOG_FORMAT",
        default_value = "json"
    )]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

impl ProxyCommand {
    /// Serves until a signal arrives.
    pub(crate) fn run(self) -> Result<ExitCode, CliError> {
        let (log, _) = logging::start(self.log()).map_err(|source| CliError::Start {
            what: "log",
            source,
        })?;
        process::disable_core_dumps();
        process::raise_descriptor_limit();
        let outcome = self.check().and_then(|()| {
            let mut settings = self.into_settings();
            fit_descriptors(&mut settings.connections, process::descriptor_limit());
            serve(&settings, &log)
        });
        log.wait_until_written();
        outcome
    }

    fn log(&self) -> Log {
        Log {
            level: match self.log_level {
                Level::Trace => LogLevel::Trace,
                Level::Debug => LogLevel::Debug,
                Level::Info => LogLevel::Info,
                Level::Warn => LogLevel::Warn,
                Level::Error => LogLevel::Error,
            },
            format: match self.log_format {
                Format::Json => LogFormat::Json,
                Format::Text => LogFormat::Text,
            },
        }
    }

    /// Rules between the options.
    fn check(&self) -> Result<(), CliError> {
        if self.stall_timeout <= self.upstream_timeout {
            return Err(CliError::Usage(
                "--stall-timeout must be longer than --upstream-timeout: a client that waits for the upstream is silent".to_owned(),
            ));
        }
        if !self.upstream.is_https() && (self.upstream_ca.is_some() || self.upstream_cert.is_some())
        {
            return Err(CliError::Usage(
                "--upstream-ca and --upstream-cert have no effect on an http:// upstream; write https:// in --upstream, or leave them out".to_owned(),
            ));
        }
        Ok(())
    }

    fn into_settings(self) -> ProxySettings {
        ProxySettings {
            upstream: self.upstream,
            upstream_tls: ClientFiles {
                authorities: self.upstream_ca,
                own: certified(self.upstream_cert, self.upstream_key),
            },
            upstream_timeout: self.upstream_timeout,
            listen: self.listen,
            listen_tls: certified(self.tls_cert, self.tls_key).map(|own| ServerFiles {
                own,
                client_authority: self.tls_client_ca.map(|certificates| ClientAuthority {
                    certificates,
                    client_certificate: ClientCertificate::Required,
                }),
            }),
            connections: ConnectionLimits {
                all: self.connections,
                per_address: self
                    .connections_per_address
                    .map_or(self.connections, |most| most as usize),
                head_timeout: self.head_timeout,
                stall_timeout: self.stall_timeout,
            },
            cache: CacheSettings {
                ttl: self.cache_ttl,
                bytes_max: self.cache_max_size,
                entries_expected: self.cache_num_counters as usize,
            },
            allowed_hosts: AllowedHosts::new(self.allowed_hosts.iter().map(String::as_str)),
            host_source: if self.trust_x_forwarded_host {
                HostSource::ForwardedHost
            } else {
                HostSource::Host
            },
            claimed_addresses: if self.replace_x_forwarded_for {
                ClaimedAddresses::Replaced
            } else {
                ClaimedAddresses::Kept
            },
        }
    }
}

/// A certificate with its key. The command line takes both or neither.
fn certified(certificates: Option<PathBuf>, key: Option<PathBuf>) -> Option<Certified> {
    let (certificates, key) = certificates.zip(key)?;
    Some(Certified { certificates, key })
}

/// Lowers the bound of connections to what the limit of open files allows: each may need a
/// connection to the upstream as well. Without a free descriptor no connection could be accepted,
/// so no other one would be closed for it.
fn fit_descriptors(connections: &mut ConnectionLimits, limit: Option<u64>) {
    let Some(limit) = limit else { return };
    let fits = usize::try_from(limit.saturating_sub(OWN_DESCRIPTORS) / 2).unwrap_or(usize::MAX);
    let fits = fits.max(limits::CONNECTIONS_MIN);
    if fits < connections.all {
        tracing::warn!(
            wanted = connections.all,
            connections = fits,
            "the limit of open files (ulimit -n) allows fewer connections than --connections"
        );
        connections.all = fits;
        connections.per_address = connections.per_address.min(fits);
    }
}

fn serve(settings: &ProxySettings, log: &LogQueue) -> Result<ExitCode, CliError> {
    // Registered first, so that a signal during the start is not lost.
    let signals = Signals::register().map_err(|source| CliError::Start {
        what: "signals",
        source,
    })?;
    let proxy = Proxy::bind(settings)?;
    let address = proxy.address();
    tracing::info!(
        %address,
        upstream = %settings.upstream,
        cache_ttl = duration::format_protobuf(settings.cache.ttl),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    let (handle, last_words) = (proxy.stop_handle(), log.clone());
    let manager = ServiceManager::from_environment();
    // The runtime of the proxy counts nothing, so only the process is watched.
    let process = AtomicU64::new(0);
    let beats = move || vec![process.fetch_add(1, Ordering::Relaxed)];
    manager.watch(beats).map_err(|source| CliError::Start {
        what: "watchdog",
        source,
    })?;
    manager.ready();
    let stopping = signals.on_first(
        move || {
            manager.stopping();
            handle.stop();
        },
        move || last_words.wait_until_written(),
        || tracing::info!("SIGHUP is ignored: the proxy has no configuration that changes"),
    );
    proxy.run()?;
    if !stopping.is_asked() {
        return Err(CliError::Stopped(address));
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn parse_upstream(text: &str) -> Result<UpstreamUrl, InvalidUpstreamUrl> {
    text.parse()
}

fn upstream_timeout(text: &str) -> Result<Duration, String> {
    let within = Duration::from_millis(1)..=limits::UPSTREAM_TIMEOUT_MAX;
    timeout(text, &within, "must be from 1ms to 60s")
}

fn head_timeout(text: &str) -> Result<Duration, String> {
    let within = limits::HEAD_MIN..=limits::HEAD_MAX;
    timeout(text, &within, "must be from 1s to 10m")
}

fn stall_timeout(text: &str) -> Result<Duration, String> {
    let within = limits::STALL_MIN..=limits::STALL_MAX;
    timeout(text, &within, "must be from 1s to 10m")
}

fn timeout(text: &str, within: &RangeInclusive<Duration>, rule: &str) -> Result<Duration, String> {
    let timeout = duration::parse(text).map_err(|error| error.to_string())?;
    if within.contains(&timeout) {
        Ok(timeout)
    } else {
        Err(rule.to_owned())
    }
}

fn connections(text: &str) -> Result<usize, String> {
    let within = limits::CONNECTIONS_MIN..=limits::CONNECTIONS_MAX;
    let count = text.parse().ok().filter(|count| within.contains(count));
    count.ok_or_else(|| "must be from 32 to 262144".to_owned())
}

/// Parses `HOST:PORT`. Without a host, as in `:8080`, it is every address of this machine, as in
/// Go.
fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let wanted =
        "write an address and a port, such as 127.0.0.1:8080, or a port alone, such as :8080";
    let full = if text.starts_with(':') {
        format!("0.0.0.0{text}")
    } else {
        text.to_owned()
    };
    let found = full.to_socket_addrs();
    found
        .map_err(|error| format!("{error}; {wanted}"))?
        .next()
        .ok_or_else(|| wanted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_fit_the_limit_of_open_files() {
        let fitted = |all, limit| {
            let mut connections = ConnectionLimits {
                all,
                per_address: all,
                head_timeout: limits::HEAD,
                stall_timeout: limits::STALL,
            };
            fit_descriptors(&mut connections, limit);
            assert_eq!(connections.per_address, connections.all);
            connections.all
        };
        assert_eq!(fitted(8192, None), 8192);
        assert_eq!(fitted(8192, Some(1_048_576)), 8192);
        assert_eq!(fitted(8192, Some(1024)), 480);
        assert_eq!(fitted(8192, Some(10)), limits::CONNECTIONS_MIN);
    }
}
