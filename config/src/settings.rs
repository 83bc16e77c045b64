//! The settings as plain values, after all sources are read and all bounds are checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use talos_credentials::MacaroonPrefixes;
use talos_model::Secret;

use crate::admin_auth::AdminAuth;
use crate::audit::Audit;
use crate::credentials::{
    ApiKeys, Credentials, DefaultSecrets, DerivedTokens, KeyPrefixes, Secrets,
};
use crate::fixed::FixedValues;
use crate::http_limits::{HttpLimits, HttpTimeouts};
use crate::listener_tls::ListenerTls;
use crate::networks::Multitenancy;
use crate::public::{PublicListener, PublicSurface};
use crate::replication::Replication;
use crate::signing_keys::KeySets;
use crate::tenant_settings::TenantSettings;
use crate::throttle::Throttle;
use crate::trusted_proxies::TrustedProxies;

/// The whole configuration. [`Settings::load`] makes it once; it never changes. Share it in an
/// `Arc`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how to serve.
    pub serve: Serve,
    /// The format and the lifetime of credentials.
    pub credentials: Credentials,
    /// HMAC secrets.
    pub secrets: Secrets,
    /// Where keys are stored.
    pub db: Database,
    /// The role of this node in a cluster.
    pub replication: Replication,
    /// Which keys are kept in memory.
    pub cache: Cache,
    /// Whether the rate limits of keys are enforced.
    pub rate_limit: RateLimit,
    /// How many keys a tenant may have.
    pub quota: Quota,
    /// How the times of last use are written.
    pub last_used: LastUsed,
    /// Which lines are logged, and in which format.
    pub log: Log,
    /// The log of who did what.
    pub audit: Audit,
    /// Which of the sizes that depend on the memory limit are set.
    pub(crate) set_sizes: Vec<&'static str>,
    /// Whether there is more than one tenant.
    pub multitenancy: Multitenancy,
    /// All tenants, at least one.
    pub tenants: Vec<TenantSettings>,
    /// The values that take effect only at a start.
    pub fixed: FixedValues,
    /// The files that the settings were read from. A change of one of them may change the settings.
    pub files: Vec<PathBuf>,
}

/// `serve`: listeners and threads.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The HTTP API.
    pub http: Http,
    /// A second listener of the HTTP API.
    pub public: PublicListener,
    /// The rules by which administrators are authenticated.
    pub admin_auth: AdminAuth,
    /// The metrics and health listener.
    pub metrics: Listener,
    /// TLS of the metrics and health listener.
    pub metrics_tls: ListenerTls,
    /// Data-plane threads, each with its own listener; at least 1.
    pub workers: usize,
    /// How the data plane talks to the kernel.
    pub driver: DriverChoice,
    /// How long the server keeps answering after it was told to stop, while it says that it is not
    /// ready.
    pub shutdown_delay: Duration,
}

/// `serve.http`: the listener of the API, and its request log.
#[derive(Clone, Debug)]
pub struct Http {
    /// The TCP listener. Port 0 = the system picks one.
    pub listener: Listener,
    /// TLS of the TCP listener.
    pub tls: ListenerTls,
    /// The source of the client's address.
    pub client_ip_source: ClientIpSource,
    /// The proxies whose headers name the client's address. Empty = any peer is believed.
    pub trusted_proxies: TrustedProxies,
    /// Further host names under which administrators reach this server: `*`, names in lower case,
    /// or `*.` and a name.
    pub allowed_hosts: Vec<String>,
    /// The path of a Unix socket to listen on as well.
    pub socket: Option<PathBuf>,
    /// The rules for requests from pages of other origins.
    pub cors: Cors,
    /// Whether the request log leaves out `/health/…`.
    pub exclude_health_endpoints: bool,
    /// How long a connection may take.
    pub timeouts: HttpTimeouts,
    /// How much requests and connections may take.
    pub limits: HttpLimits,
    /// How often a client address may fail.
    pub throttle: Throttle,
    /// Whether trusted proxies may name the host, which decides the tenant, in a header.
    pub trust_forwarded_host: bool,
}

/// `serve.http.cors`: the rules for requests from pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Whether these rules apply at all.
    pub enabled: bool,
    /// `*`, or origins in lower case, each with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// Allowed methods, besides those that browsers always allow.
    pub allowed_methods: Vec<String>,
    /// Allowed request headers, besides those that browsers always allow; `*` = any.
    pub allowed_headers: Vec<String>,
    /// Response headers that pages may read, besides those that browsers always show.
    pub exposed_headers: Vec<String>,
    /// Whether browsers may send cookies and TLS certificates.
    pub allow_credentials: bool,
    /// How long browsers may cache the answer to a preflight request, in seconds; 0 = they decide.
    pub max_age_s: u64,
    /// Whether every decision is logged.
    pub debug: bool,
}

impl Cors {
    /// Whether the pages of any origin may send requests with the credentials of their visitors.
    pub(crate) fn allows_credentials_from_any_origin(&self) -> bool {
        // `https://*` and `https://*:8443` are as open as `*`.
        let is_any = |origin: &String| {
            let host = origin
                .split_once("://")
                .map_or(origin.as_str(), |(_, host)| host);
            host.strip_prefix('*')
                .is_some_and(|port| port.is_empty() || port.starts_with(':'))
        };
        self.enabled && self.allow_credentials && self.allowed_origins.iter().any(is_any)
    }
}

/// The source of the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIpSource {
    /// The peer address of the connection.
    RemoteAddress,
    /// The header `Cf-Connecting-Ip`.
    CfConnectingIp,
    /// The leftmost address in `X-Forwarded-For`.
    XForwardedFor,
    /// The header `X-Real-Ip`.
    XRealIp,
    /// The header `True-Client-Ip`.
    TrueClientIp,
}

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address of the interface.
    pub host: IpAddr,
    /// The TCP port; 0 = the system picks one.
    pub port: u16,
}

impl Listener {
    /// Host and port together.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }
}

/// How the data plane talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverChoice {
    /// `io_uring` where the kernel allows it, else epoll.
    Auto,
    /// `io_uring`; without it the server does not start.
    IoUring,
    /// epoll.
    Epoll,
}

/// `db`: where keys are stored.
#[derive(Clone, Debug)]
pub struct Database {
    /// The data directory of the embedded engine.
    pub directory: PathBuf,
    /// The number of shards of a new database, a power of two; `None` = one per core.
    pub shards: Option<u16>,
    /// The size of RocksDB's block cache, in bytes.
    pub block_cache_bytes: usize,
    /// The memory for changes that are not yet in data files, in bytes.
    pub write_buffer_bytes: usize,
    /// Whether the indexes and filters of data files have to fit into the block cache, because
    /// memory is scarce. [`Settings::fit_into`] decides it.
    pub tables_in_block_cache: bool,
    /// After writes were stopped for so long by a failure that only a restart can mend, the process
    /// says that it is not alive; zero = never.
    pub failure_timeout: Duration,
}

/// `cache`: which keys are kept in memory.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Whether keys are kept in memory.
    pub cache_type: CacheType,
    /// `false` = as [`CacheType::Noop`].
    pub enabled: bool,
    /// After this time an answer is read from storage again; zero = as [`CacheType::Noop`].
    pub ttl: Duration,
    /// The memory limit, in bytes.
    pub memory_bytes_max: usize,
}

impl Cache {
    /// The memory for keys in bytes; 0 if no keys are kept in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let is_on = self.enabled && self.cache_type != CacheType::Noop && !self.ttl.is_zero();
        if is_on { self.memory_bytes_max } else { 0 }
    }
}

/// Whether keys are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheType {
    /// Keys are kept in memory.
    Memory,
    /// Every verification reads storage.
    Noop,
    /// Keys are kept in memory, as with [`CacheType::Memory`]: this node has its own copy of all
    /// keys and needs no shared one. For configurations that were written for other servers.
    Redis,
}

/// `rate_limit`: whether the rate limits of keys are enforced. The only backend counts in the
/// memory of this process.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Whether the rate-limit policies of keys are enforced.
    pub enabled: bool,
}

/// `last_used`: how the times of last use are written.
#[derive(Clone, Copy, Debug)]
pub struct LastUsed {
    /// The capacity of the queue of uses. Uses beyond it are dropped and counted.
    pub queue_size: usize,
    /// The number of keys in one write.
    pub flush_size: usize,
    /// The longest that a use waits to be written. A time of last use lags by at most this.
    pub flush_interval: Duration,
    /// The most concurrent writes. One thread writes, which is within every limit.
    pub num_workers: usize,
}

/// `quota`: how many keys a tenant may have.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The most keys that are not revoked, issued and imported together; `None` = any number.
    pub api_keys_max: Option<u64>,
}

/// `log`: which lines are logged, and in which format.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The lowest level that is written.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For developers of this server.
    Debug,
    /// For operators.
    Info,
    /// An operator should look at it.
    Warn,
    /// An operator must look at it.
    Error,
}

/// The format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Text, for people.
    Text,
}

impl Settings {
    /// The state before any setter of the table of keys has run. Fields whose key has a default or
    /// is required are overwritten before anyone reads them. The other fields already hold the
    /// value that "unset" stands for.
    pub(crate) fn blank() -> Self {
        let listener = Listener {
            host: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 0,
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            serve: Serve {
                http: Http {
                    listener,
                    tls: ListenerTls::default(),
                    client_ip_source: ClientIpSource::RemoteAddress,
                    socket: None,
                    cors: Cors::default(),
                    exclude_health_endpoints: false,
                    timeouts: HttpTimeouts::default(),
                    limits: HttpLimits::blank(),
                    throttle: Throttle::default(),
                    trusted_proxies: TrustedProxies::default(),
                    allowed_hosts: Vec::new(),
                    trust_forwarded_host: false,
                },
                public: PublicListener {
                    host: listener.host,
                    port: None,
                    surface: PublicSurface::Data,
                    tls: ListenerTls::default(),
                },
                admin_auth: AdminAuth::default(),
                metrics: listener,
                metrics_tls: ListenerTls::default(),
                workers: cores,
                driver: DriverChoice::Auto,
                shutdown_delay: Duration::ZERO,
            },
            credentials: Credentials {
                issuer: String::new(),
                issuers_retired: Vec::new(),
                clock_skew: Duration::ZERO,
                api_keys: ApiKeys {
                    default_ttl: None,
                    max_ttl: Duration::ZERO,
                    prefix: KeyPrefixes {
                        current: String::new(),
                        retired: Vec::new(),
                        public_current: None,
                        public_retired: Vec::new(),
                    },
                },
                derived_tokens: DerivedTokens {
                    check_parent: true,
                    default_ttl: Duration::ZERO,
                    signing_key_id: None,
                    macaroon_prefixes: MacaroonPrefixes::default(),
                },
                signing_keys: Arc::default(),
                key_sets: KeySets::default(),
                key_sets_ca: None,
            },
            secrets: Secrets {
                hmac_current: Secret::new(String::new()),
                hmac_retired: Vec::new(),
                pagination_current: Secret::new(String::new()),
                pagination_retired: Vec::new(),
                default: DefaultSecrets::default(),
            },
            db: Database {
                directory: PathBuf::new(),
                shards: None,
                block_cache_bytes: 256 << 20,
                write_buffer_bytes: 128 << 20,
                tables_in_block_cache: false,
                failure_timeout: Duration::ZERO,
            },
            replication: Replication::blank(),
            cache: Cache {
                cache_type: CacheType::Memory,
                enabled: true,
                ttl: Duration::ZERO,
                memory_bytes_max: 104_857_600,
            },
            rate_limit: RateLimit { enabled: false },
            quota: Quota { api_keys_max: None },
            last_used: LastUsed {
                queue_size: 0,
                flush_size: 0,
                flush_interval: Duration::ZERO,
                num_workers: 0,
            },
            log: Log {
                level: LogLevel::Info,
                format: LogFormat::Json,
            },
            audit: Audit::blank(),
            set_sizes: Vec::new(),
            multitenancy: Multitenancy::default(),
            tenants: Vec::new(),
            fixed: FixedValues::default(),
            files: Vec::new(),
        }
    }
}
