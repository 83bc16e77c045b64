//! The table of keys: the one place that says what may be configured.

mod cors;
mod replication;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use talos_engine::limits::SHARDS_MAX;

use crate::client_ip_source::CLIENT_IP_SOURCES;
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;
use crate::settings::{CacheType, DriverChoice, LogFormat, LogLevel};

const SECOND: Duration = Duration::from_secs(1);
/// The longest life of a key: ten years of 365 days.
const TTL_MAX: Duration = Duration::from_secs(315_360_000);
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(10 * 60);
const CACHE_TTL_MAX: Duration = Duration::from_secs(24 * 3600);
const KEY_PREFIX_CHARACTERS_MAX: usize = 16;
const MACAROON_PREFIX_CHARACTERS_MAX: usize = 8;
const WORKERS_MAX: u64 = 256;
/// More keys than fit on any disk.
const API_KEYS_MAX: u64 = 1_000_000_000_000;
/// Uses of keys that wait take about 100 bytes each.
const LAST_USED_MAX: u64 = 1_000_000;
const LAST_USED_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);
const MEMORY_MIN: u64 = 64 << 10;
const MEMORY_MAX: u64 = 16 << 40;

/// Every key, in the order in which the sample file shows them.
pub static KEYS: &[Key] = &[
    public(
        "serve.http.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.http.listener.host = host,
        },
    ),
    public(
        "serve.http.port",
        Fallback::Value("4420"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.http.listener.port = saturate_u16(port),
        },
    ),
    public(
        "serve.http.client_ip_source",
        Fallback::Value("CLIENT_IP_SOURCE_UNSPECIFIED"),
        Kind::Choice(&CLIENT_IP_SOURCES),
    ),
    public(
        "serve.http.socket",
        Fallback::Unset("none"),
        Kind::Text {
            set: |s, path| s.serve.http.socket = Some(PathBuf::from(path)),
        },
    ),
    public(
        "serve.http.trust_forwarded_host",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, trust| s.serve.http.trust_forwarded_host = trust,
        },
    ),
    public(
        "serve.http.request_log.exclude_health_endpoints",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, exclude| s.serve.http.exclude_health_endpoints = exclude,
        },
    ),
    cors::ENABLED,
    cors::ALLOWED_ORIGINS,
    cors::ALLOWED_METHODS,
    cors::ALLOWED_HEADERS,
    cors::EXPOSED_HEADERS,
    cors::ALLOW_CREDENTIALS,
    cors::MAX_AGE,
    cors::DEBUG,
    public(
        "serve.metrics.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.metrics.host = host,
        },
    ),
    public(
        "serve.metrics.port",
        Fallback::Value("4422"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.metrics.port = saturate_u16(port),
        },
    ),
    public(
        "serve.workers",
        Fallback::Unset("one per core"),
        Kind::Integer {
            min: 1,
            max: WORKERS_MAX,
            set: |s, workers| s.serve.workers = saturate_usize(workers),
        },
    ),
    public(
        "serve.driver",
        Fallback::Value("auto"),
        Kind::Choice(&[
            ("auto", |s| s.serve.driver = DriverChoice::Auto),
            ("io_uring", |s| s.serve.driver = DriverChoice::IoUring),
            ("epoll", |s| s.serve.driver = DriverChoice::Epoll),
        ]),
    ),
    public(
        "credentials.issuer",
        Fallback::Required(
            "it names who issues the keys, usually the public URL of this server, such as https://keys.example.com",
        ),
        Kind::Text {
            set: |s, issuer| s.credentials.issuer = issuer,
        },
    ),
    public(
        "credentials.issuer_retired",
        Fallback::Unset("none"),
        Kind::RetiredIssuers {
            set: |s, issuers| s.credentials.issuers_retired = issuers,
        },
    ),
    public(
        "credentials.clock_skew",
        Fallback::Value("5m"),
        Kind::Duration {
            min: Duration::ZERO,
            max: CLOCK_SKEW_MAX,
            set: |s, skew| s.credentials.clock_skew = skew,
        },
    ),
    public(
        "credentials.api_keys.default_ttl",
        Fallback::Unset("keys do not expire"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.default_ttl = Some(ttl),
        },
    ),
    public(
        "credentials.api_keys.max_ttl",
        Fallback::Value("8760h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.api_keys.max_ttl = ttl,
        },
    ),
    public(
        "credentials.api_keys.prefix.current",
        Fallback::Value("ory_ak"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.current = prefix,
        },
    ),
    public(
        "credentials.api_keys.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.retired = prefixes,
        },
    ),
    public(
        "credentials.api_keys.prefix.public_current",
        Fallback::Unset("public keys cannot be issued"),
        Kind::Prefix {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.api_keys.prefix.public_current = Some(prefix),
        },
    ),
    public(
        "credentials.api_keys.prefix.public_retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: KEY_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.api_keys.prefix.public_retired = prefixes,
        },
    ),
    public(
        "credentials.derived_tokens.check_parent",
        Fallback::Value("true"),
        Kind::Boolean {
            set: |s, check| s.credentials.derived_tokens.check_parent = check,
        },
    ),
    public(
        "credentials.derived_tokens.default_ttl",
        Fallback::Value("1h"),
        Kind::Duration {
            min: SECOND,
            max: TTL_MAX,
            set: |s, ttl| s.credentials.derived_tokens.default_ttl = ttl,
        },
    ),
    secret(
        "credentials.derived_tokens.jwt.signing_keys.urls",
        Fallback::Unset("none"),
        Kind::SigningKeys {
            set: |s, keys| s.credentials.signing_keys = Arc::new(keys),
        },
    ),
    public(
        "credentials.derived_tokens.jwt.signing_key_id",
        Fallback::Unset("the first key whose use is sig, else the first"),
        Kind::OptionalText {
            set: |s, kid| s.credentials.derived_tokens.signing_key_id = kid,
        },
    ),
    public(
        "credentials.derived_tokens.macaroon.prefix.current",
        Fallback::Value("mc"),
        Kind::Prefix {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefix| s.credentials.derived_tokens.macaroon_prefixes.current = prefix,
        },
    ),
    public(
        "credentials.derived_tokens.macaroon.prefix.retired",
        Fallback::Unset("none"),
        Kind::Prefixes {
            characters_max: MACAROON_PREFIX_CHARACTERS_MAX,
            set: |s, prefixes| s.credentials.derived_tokens.macaroon_prefixes.retired = prefixes,
        },
    ),
    secret(
        "secrets.default.current",
        Fallback::Unset("each purpose needs a secret of its own"),
        Kind::Secret {
            set: |s, secret| s.secrets.default.current = Some(secret),
        },
    ),
    secret(
        "secrets.default.retired",
        Fallback::Unset("none"),
        Kind::Secrets {
            set: |s, secrets| s.secrets.default.retired = secrets,
        },
    ),
    secret(
        "secrets.hmac.current",
        Fallback::StandIn {
            path: "secrets.default.current",
            advice: "make one with `openssl rand -hex 32`, or start a development server with `talos serve --dev`",
        },
        Kind::Secret {
            set: |s, secret| s.secrets.hmac_current = secret,
        },
    ),
    secret(
        "secrets.hmac.retired",
        Fallback::Unset("none"),
        Kind::Secrets {
            set: |s, secrets| s.secrets.hmac_retired = secrets,
        },
    ),
    secret(
        "secrets.pagination.current",
        Fallback::Unset("secrets.default.current, or else secrets.hmac.current"),
        Kind::Secret {
            set: |s, secret| s.secrets.pagination_current = secret,
        },
    ),
    secret(
        "secrets.pagination.retired",
        Fallback::Unset("none"),
        Kind::Secrets {
            set: |s, secrets| s.secrets.pagination_retired = secrets,
        },
    ),
    // Sensitive because DSNs of other databases carry passwords, and people paste them here.
    secret(
        "db.dsn",
        Fallback::Value("rocksdb://./talos-data"),
        Kind::DataDirectory {
            set: |s, directory| s.db.directory = directory,
        },
    ),
    public(
        "db.shards",
        Fallback::Unset("one per core, rounded up to a power of two"),
        Kind::PowerOfTwo {
            max: SHARDS_MAX as u64,
            set: |s, shards| s.db.shards = Some(saturate_u16(shards)),
        },
    ),
    public(
        "db.block_cache_size",
        Fallback::Value("256 MiB"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.db.block_cache_bytes = saturate_usize(bytes),
        },
    ),
    replication::ROLE,
    replication::LISTEN,
    replication::PRIMARY,
    replication::PRIMARY_URL,
    replication::SECRET,
    replication::SECRET_RETIRED,
    replication::TLS_CERT,
    replication::TLS_KEY,
    replication::TLS_CA,
    replication::TLS_SERVER_NAME,
    replication::MAX_STALENESS,
    replication::MIN_ACKS,
    replication::ACK_TIMEOUT,
    replication::LOG_RETENTION,
    replication::LOG_MAX_BYTES,
    replication::SNAPSHOTS_CONCURRENT,
    replication::SNAPSHOTS_RATE,
    public(
        "cache.type",
        Fallback::Value("memory"),
        Kind::Choice(&[
            ("memory", |s| s.cache.cache_type = CacheType::Memory),
            ("noop", |s| s.cache.cache_type = CacheType::Noop),
        ]),
    ),
    public(
        "cache.ttl",
        Fallback::Value("5m"),
        Kind::Duration {
            min: SECOND,
            max: CACHE_TTL_MAX,
            set: |s, ttl| s.cache.ttl = ttl,
        },
    ),
    public(
        "cache.memory.max_size",
        Fallback::Value("104857600"),
        Kind::Bytes {
            min: MEMORY_MIN,
            max: MEMORY_MAX,
            set: |s, bytes| s.cache.memory_bytes_max = saturate_usize(bytes),
        },
    ),
    public(
        "rate_limit.enabled",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, enabled| s.rate_limit.enabled = enabled,
        },
    ),
    public(
        "rate_limit.backend",
        Fallback::Value("memory"),
        Kind::Choice(&[("memory", |_| {})]),
    ),
    public(
        "quota.api_keys_max",
        Fallback::Unset("any number"),
        Kind::Integer {
            min: 1,
            max: API_KEYS_MAX,
            set: |s, keys| s.quota.api_keys_max = Some(keys),
        },
    ),
    public(
        "last_used.queue_size",
        Fallback::Value("10000"),
        Kind::Integer {
            min: 1,
            max: LAST_USED_MAX,
            set: |s, uses| s.last_used.queue_size = saturate_usize(uses),
        },
    ),
    public(
        "last_used.flush_size",
        Fallback::Value("100"),
        Kind::Integer {
            min: 1,
            max: LAST_USED_MAX,
            set: |s, keys| s.last_used.flush_size = saturate_usize(keys),
        },
    ),
    public(
        "last_used.flush_interval",
        Fallback::Value("30s"),
        Kind::Duration {
            min: SECOND,
            max: LAST_USED_INTERVAL_MAX,
            set: |s, interval| s.last_used.flush_interval = interval,
        },
    ),
    public(
        "last_used.num_workers",
        Fallback::Value("4"),
        Kind::Integer {
            min: 1,
            max: WORKERS_MAX,
            set: |s, workers| s.last_used.num_workers = saturate_usize(workers),
        },
    ),
    public(
        "multitenancy.enabled",
        Fallback::Value("false"),
        Kind::Fixed {
            value: "false",
            why: "this version serves one tenant",
        },
    ),
    public(
        "log.level",
        Fallback::Value("info"),
        Kind::Choice(&[
            ("trace", |s| s.log.level = LogLevel::Trace),
            ("debug", |s| s.log.level = LogLevel::Debug),
            ("info", |s| s.log.level = LogLevel::Info),
            ("warn", |s| s.log.level = LogLevel::Warn),
            ("error", |s| s.log.level = LogLevel::Error),
        ]),
    ),
    public(
        "log.format",
        Fallback::Value("json"),
        Kind::Choice(&[
            ("json", |s| s.log.format = LogFormat::Json),
            ("text", |s| s.log.format = LogFormat::Text),
        ]),
    ),
];

/// The bounds in the table keep every number in range; the cast only has to be total.
fn saturate_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn saturate_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The key of that exact path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `path` is a mapping that holds keys.
pub(crate) fn is_group(path: &str) -> bool {
    KEYS.iter().any(|key| {
        key.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

/// Every path that may be written: keys and the mappings around them.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().flat_map(|key| {
        key.path
            .match_indices('.')
            .filter_map(|(at, _)| key.path.get(..at))
            .chain([key.path])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_is_named_twice_or_inside_another() {
        let paths: HashSet<&str> = KEYS.iter().map(|key| key.path).collect();
        let variables: HashSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert!(KEYS.iter().all(|key| !is_group(key.path)));
        assert!(is_group("serve.http") && !is_group("serve.htt") && !is_group(""));
    }

    #[test]
    fn variables_are_the_path_in_upper_case() {
        assert_eq!(
            find("serve.http.port").map(Key::variable).as_deref(),
            Some("TALOS_SERVE_HTTP_PORT")
        );
    }
}
