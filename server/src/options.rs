//! The options of a server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use talos_api::audit::AuditLog;
use talos_api::fleet::ForwardingKeys;
use talos_api::route::Surface;
use talos_config::{AdminAuth, Cors, Throttle, TrustedProxies};
pub use talos_config::{ClientIpSource, DriverChoice};
use talos_tls::ServerTls;

use crate::admin_hosts::{AdminHosts, listen_scope_of};
use crate::limits::{self, BodyLimits, HeadLimits};

/// The options of a server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The listeners, at least one.
    pub listeners: Vec<ListenerOptions>,
    /// The path of a Unix socket to listen on in addition. It serves what the first listener
    /// serves.
    pub socket: Option<PathBuf>,
    /// The rules for pages of other origins.
    pub cors: Cors,
    /// The number of threads that serve, at least 1. Each accepts from
    /// every listener.
    pub workers: usize,
    /// The system interface for I/O.
    pub driver: DriverChoice,
    /// How long a connection may take.
    pub deadlines: Deadlines,
    /// How large the heads of requests may be.
    pub heads: HeadLimits,
    /// How large bodies may be.
    pub bodies: BodyLimits,
    /// The most connections of one worker. More connections wait in the listener's backlog.
    pub connections_per_worker: usize,
    /// The most connections of one worker from one address, or from one IPv6 network of 64 bits.
    /// Trusted proxies may have more. `None` = no bound.
    pub connections_per_address: Option<usize>,
    /// Connections of one worker beyond these, which may only ask whether the server is healthy.
    /// They are accepted while all others are busy.
    pub health_connections: usize,
    /// How often a client address may fail.
    pub throttle: Throttle,
    /// The memory of one worker for requests and answers beyond the first buffers of each
    /// connection, in bytes. Requests for which there is none are answered 503.
    pub memory_bytes: usize,
    /// Whether requests to the health routes are logged. Like all hot requests they are logged at
    /// debug level.
    pub log_health_requests: bool,
    /// Where the client's address comes from.
    pub client_ip_source: ClientIpSource,
    /// The proxies whose headers name the client's address. Empty = any peer is believed.
    pub trusted_proxies: TrustedProxies,
    /// How requests are divided among tenants.
    pub tenancy: Tenancy,
    /// The authentication of administrators.
    pub admin_auth: AdminAuth,
    /// The keys by which other nodes vouch for the clients whose requests they forward; `None` on a
    /// server without other nodes.
    pub forwarding_keys: Option<ForwardingKeys>,
    /// Where refused requests and failed verifications are noted; `None` = nowhere.
    pub audit: Option<Arc<dyn AuditLog>>,
}

/// A TCP listener and what it serves.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// The address to listen on. With port 0 the system chooses the port.
    pub address: SocketAddr,
    /// Which routes it has.
    pub surface: Surface,
    /// The host names under which the routes of administrators are served.
    pub admin_hosts: AdminHosts,
    /// TLS of its connections; `None` = plain HTTP.
    pub tls: Option<Arc<ServerTls>>,
}

impl ListenerOptions {
    /// A listener that serves every route, to administrators under the names that are safe for
    /// `address`.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            surface: Surface::All,
            admin_hosts: AdminHosts::new(listen_scope_of(address.ip()), &[]),
            tls: None,
        }
    }
}

impl ServerOptions {
    /// The defaults: one listener on `address`, one worker per core, the best driver, the bounds of
    /// [`crate::limits`].
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listeners: vec![ListenerOptions::new(address)],
            socket: None,
            cors: Cors::default(),
            workers: cores.min(limits::WORKERS),
            driver: DriverChoice::Auto,
            deadlines: Deadlines::default(),
            heads: HeadLimits::default(),
            bodies: BodyLimits::default(),
            connections_per_worker: limits::CONNECTIONS_PER_WORKER,
            connections_per_address: None,
            health_connections: limits::HEALTH_CONNECTIONS,
            throttle: Throttle::default(),
            memory_bytes: limits::MEMORY_BYTES,
            log_health_requests: true,
            client_ip_source: ClientIpSource::RemoteAddress,
            trusted_proxies: TrustedProxies::default(),
            tenancy: Tenancy::default(),
            admin_auth: AdminAuth::default(),
            forwarding_keys: None,
            audit: None,
        }
    }
}

/// How requests are divided among tenants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// Whether the host decides; otherwise `TenantId::SINGLE` is the only tenant.
    pub by_host: bool,
    /// Whether a trusted proxy may name the host in `X-Forwarded-Host`.
    pub trust_forwarded_host: bool,
}

/// How long each phase of a connection may take. A deadline is noticed at most one [`limits::TICK`]
/// late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// The longest pause between two requests. Then the connection is closed without an answer.
    pub idle: Duration,
    /// From the first byte of a head to its last; then 408. Also from accepting to the first byte.
    pub head: Duration,
    /// From the end of a head to the end of its body; then 408.
    pub body: Duration,
    /// In this time a body must bring [`limits::BODY_PACE_BYTES`] or its end; then 408.
    pub body_pace: Duration,
    /// From the first byte of a batch of answers to its last; then the connection is cut.
    pub write: Duration,
    /// How long bytes are read and dropped after an error.
    pub linger: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            idle: limits::IDLE,
            head: limits::HEAD,
            body: limits::BODY,
            body_pace: limits::BODY_PACE,
            write: limits::WRITE,
            linger: limits::LINGER,
        }
    }
}
