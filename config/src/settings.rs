//! The settings as plain values, after every source was read and every bound checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use talos_engine::token::SigningKeys;
use talos_engine::{MacaroonPrefixes, RetiredIssuer, Secret};

use crate::replication::Replication;

/// Everything that is configured. Made once by [`Settings::load`] and never changed; share it in an `Arc`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how to serve.
    pub serve: Serve,
    /// How credentials look and how long they live.
    pub credentials: Credentials,
    /// What must not be known.
    pub secrets: Secrets,
    /// Where keys are stored.
    pub db: Database,
    /// What this node is among others.
    pub replication: Replication,
    /// What is kept in memory.
    pub cache: Cache,
    /// How often keys may be used.
    pub rate_limit: RateLimit,
    /// How much a tenant may have.
    pub quota: Quota,
    /// How it is noted when keys are used.
    pub last_used: LastUsed,
    /// What is logged.
    pub log: Log,
}

/// `serve`: listeners and threads.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The HTTP API.
    pub http: Http,
    /// The metrics and health listener.
    pub metrics: Listener,
    /// Data-plane threads, each with its own listener; at least 1.
    pub workers: usize,
    /// How the data plane talks to the kernel.
    pub driver: DriverChoice,
}

/// `serve.http`: the API's listener and its request log.
#[derive(Clone, Debug)]
pub struct Http {
    /// Where it listens. Port 0 = the system picks one.
    pub listener: Listener,
    /// Where the client's address comes from.
    pub client_ip_source: ClientIpSource,
    /// Where it listens beside that: a Unix socket.
    pub socket: Option<PathBuf>,
    /// What browsers may ask from pages of other origins.
    pub cors: Cors,
    /// Leaves `/health/…` out of the request log.
    pub exclude_health_endpoints: bool,
    /// Whether the host names of forwarding headers would choose the tenant.
    pub(crate) trust_forwarded_host: bool,
}

/// `serve.http.cors`: what browsers may ask from pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Whether any of this holds.
    pub enabled: bool,
    /// `*`, or origins in lower case with at most one `*` in each.
    pub allowed_origins: Vec<String>,
    /// Methods besides those that need no permission.
    pub allowed_methods: Vec<String>,
    /// Request headers besides those that need no permission; `*` = any.
    pub allowed_headers: Vec<String>,
    /// Response headers that pages may read besides those that need no permission.
    pub exposed_headers: Vec<String>,
    /// Whether browsers may send cookies and TLS certificates.
    pub allow_credentials: bool,
    /// How long browsers may keep the answer to a preflight, in seconds; 0 = they decide.
    pub max_age_s: u64,
    /// Whether every decision is logged.
    pub debug: bool,
}

impl Cors {
    pub(crate) fn gives_credentials_to_everybody(&self) -> bool {
        // Any host of a scheme, whatever its port, is everybody, too.
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

/// Where the client's address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientIpSource {
    /// The connection.
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
    /// The interface.
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
    /// `io_uring` or no start.
    IoUring,
    /// epoll.
    Epoll,
}

/// `credentials`: how credentials look and how long they live.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who issues the credentials; named in every valid answer.
    pub issuer: String,
    /// Former issuers, whose derived tokens are still accepted.
    pub issuers_retired: Vec<RetiredIssuer>,
    /// How far the clocks of two nodes may differ.
    pub clock_skew: Duration,
    /// Issued keys.
    pub api_keys: ApiKeys,
    /// Derived tokens.
    pub derived_tokens: DerivedTokens,
    /// Keys that sign and verify derived tokens, in the order configured.
    pub signing_keys: Arc<SigningKeys>,
}

/// `credentials.derived_tokens`: tokens that are derived from keys.
#[derive(Clone, Debug)]
pub struct DerivedTokens {
    /// Whether a token ends with its key.
    pub check_parent: bool,
    /// The life of a token that is derived without one.
    pub default_ttl: Duration,
    /// The `kid` of the key that signs JSON Web Tokens; `None` = the first with `"use":"sig"`, else the first.
    pub signing_key_id: Option<String>,
    /// How macaroons begin: each 1–8 characters of `[A-Za-z0-9_]`.
    pub macaroon_prefixes: MacaroonPrefixes,
}

/// `credentials.api_keys`: issued keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// The life of a key that is issued without one; `None` = it does not expire.
    pub default_ttl: Option<Duration>,
    /// The greatest age of any issued key.
    pub max_ttl: Duration,
    /// How issued keys begin.
    pub prefix: KeyPrefixes,
}

/// `credentials.api_keys.prefix`: each 1–16 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug)]
pub struct KeyPrefixes {
    /// For new secret keys.
    pub current: String,
    /// Still accepted.
    pub retired: Vec<String>,
    /// For new public keys; `None` = public keys cannot be issued.
    pub public_current: Option<String>,
    /// Still accepted.
    pub public_retired: Vec<String>,
}

/// `secrets`: what must not be known.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Makes and verifies the checksums of issued keys; at least 32 characters.
    pub hmac_current: Secret,
    /// Still verify checksums, tried in this order after the current one.
    pub hmac_retired: Vec<Secret>,
    /// Seals page tokens; at least 32 characters.
    pub pagination_current: Secret,
    /// Still open page tokens.
    pub pagination_retired: Vec<Secret>,
    /// `secrets.default`, which stands in for a current secret that is not set.
    pub(crate) default: DefaultSecrets,
}

/// `secrets.default`: what stands in for secrets that are not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultSecrets {
    pub(crate) current: Option<Secret>,
    pub(crate) retired: Vec<Secret>,
}

impl Secrets {
    /// Puts `secrets.default` in the place of current secrets that are not set, and its retired ones beside theirs. Page
    /// tokens are sealed by the secret of the checksums when there is no other.
    pub(crate) fn stand_in(&mut self) {
        let DefaultSecrets { current, retired } = &self.default;
        if let (None, Some(current)) = (is_set(&self.hmac_current), current) {
            self.hmac_current = current.clone();
            self.hmac_retired.extend_from_slice(retired);
        }
        if is_set(&self.pagination_current).is_none() {
            let (current, retired) = match current {
                Some(current) => (current, retired),
                None => (&self.hmac_current, &self.hmac_retired),
            };
            self.pagination_current = current.clone();
            self.pagination_retired.extend_from_slice(retired);
        }
    }
}

/// A secret that was configured; it is never empty.
fn is_set(secret: &Secret) -> Option<&Secret> {
    Some(secret).filter(|secret| !secret.expose().is_empty())
}

/// `db`: where keys are stored.
#[derive(Clone, Debug)]
pub struct Database {
    /// The data directory of the embedded engine.
    pub directory: PathBuf,
    /// Shards of a new database, a power of two; `None` = one per core.
    pub shards: Option<u16>,
    /// RocksDB's block cache, in bytes.
    pub block_cache_bytes: usize,
}

/// `cache`: what is kept in memory.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Whether anything is.
    pub cache_type: CacheType,
    /// After this time an answer is read from storage again.
    pub ttl: Duration,
    /// The most that is kept, in bytes.
    pub memory_bytes_max: usize,
}

/// Whether keys are kept in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheType {
    /// They are.
    Memory,
    /// Every verification reads storage.
    Noop,
}

/// `rate_limit`: how often keys may be used. It is counted in the memory of this process, the one backend there is.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// Whether the policies of keys are enforced.
    pub enabled: bool,
}

/// `last_used`: how it is noted when keys are used.
#[derive(Clone, Copy, Debug)]
pub struct LastUsed {
    /// Uses that may wait; more are dropped and counted.
    pub queue_size: usize,
    /// Keys that are written at once.
    pub flush_size: usize,
    /// The longest that a use waits to be written, and how far behind a time may lag.
    pub flush_interval: Duration,
    /// The most writes at the same time. One thread writes, which is within every bound.
    pub num_workers: usize,
}

/// `quota`: how much a tenant may have.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// The most keys that are not revoked, of both kinds together; `None` = any number.
    pub api_keys_max: Option<u64>,
}

/// `log`: what is logged.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// The least important level that is written.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

/// Importance of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What a developer of this server wants.
    Debug,
    /// What an operator wants.
    Info,
    /// What an operator should look at.
    Warn,
    /// What an operator must look at.
    Error,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

impl Settings {
    /// What the table's setters start from. Every field whose key has a default or is required is overwritten before
    /// anybody sees it; the others already hold what "unset" means.
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
                    client_ip_source: ClientIpSource::RemoteAddress,
                    socket: None,
                    cors: Cors::default(),
                    exclude_health_endpoints: false,
                    trust_forwarded_host: false,
                },
                metrics: listener,
                workers: cores,
                driver: DriverChoice::Auto,
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
                block_cache_bytes: 0,
            },
            replication: Replication::blank(),
            cache: Cache {
                cache_type: CacheType::Memory,
                ttl: Duration::ZERO,
                memory_bytes_max: 0,
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
        }
    }
}
