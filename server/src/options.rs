//! How a server is to run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use talos_api::route::Surface;
use talos_config::Cors;
pub use talos_config::{ClientIpSource, DriverChoice};

use crate::limits;

/// How a server is to run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where to listen; port 0 lets the system choose one.
    pub address: SocketAddr,
    /// Where to listen besides: a Unix socket in the file system.
    pub socket: Option<PathBuf>,
    /// What pages of other origins may ask.
    pub cors: Cors,
    /// Threads that serve, at least 1, each with its own listener on [`ServerOptions::address`].
    pub workers: usize,
    /// What carries the I/O.
    pub driver: DriverChoice,
    /// How long a connection may take.
    pub deadlines: Deadlines,
    /// Connections of one worker; more wait in the listener's backlog.
    pub connections_per_worker: usize,
    /// Large bodies that one worker holds or expects at a time, in bytes; a request above it is answered 503.
    pub large_bodies_bytes: usize,
    /// Whether requests to the health routes are logged, at debug level like all hot ones.
    pub log_health_requests: bool,
    /// Where the client's address comes from.
    pub client_ip_source: ClientIpSource,
    /// Which routes there are.
    pub surface: Surface,
}

impl ServerOptions {
    /// The defaults for `address`: one worker per core, the best driver, the bounds of [`crate::limits`].
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            address,
            socket: None,
            cors: Cors::default(),
            workers: cores.min(limits::WORKERS),
            driver: DriverChoice::Auto,
            deadlines: Deadlines::default(),
            connections_per_worker: limits::CONNECTIONS_PER_WORKER,
            large_bodies_bytes: limits::LARGE_BODIES_BYTES,
            log_health_requests: true,
            client_ip_source: ClientIpSource::RemoteAddress,
            surface: Surface::All,
        }
    }
}

/// How long a connection may take over each of its phases. They are kept to within [`limits::TICK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// Silence between two requests; then the connection is closed without a word.
    pub idle: Duration,
    /// From the first byte of a head to its last, then 408; also from accepting to the first byte.
    pub head: Duration,
    /// From the end of a head to the end of its body; then 408.
    pub body: Duration,
    /// From the first byte of a batch of answers to its last; then the connection is cut.
    pub write: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            idle: limits::IDLE,
            head: limits::HEAD,
            body: limits::BODY,
            write: limits::WRITE,
        }
    }
}
