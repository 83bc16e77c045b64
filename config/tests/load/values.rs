//! Values of every kind.

use super::*;

#[test]
fn values_of_every_kind_from_the_file() {
    let yaml = r#"
serve:
  http: { host: "::1", port: 0, request_log: { exclude_health_endpoints: true }, timeouts: { idle: 601s }, limits: { memory: 33554432 } }
  workers: 3
  driver: epoll
credentials:
  clock_skew: 1m30s
  api_keys:
    default_ttl: 30d
    prefix: { current: 007, retired: [a, b_c], public_current: pub, public_retired: [p] }
secrets: { hmac: { retired: [an-older-secret-of-32-characters-x] } }
db: { dsn: "sqlite:///tmp/talos.db", shards: 8, block_cache_size: 64KiB }
cache: { type: noop, ttl: 10s, memory: { max_size: 1 GiB } }
quota: { api_keys_max: 12 }
log: { level: debug, format: text }
"#;
    let (settings, warnings) = load(yaml, &[]).expect("settings");
    assert_eq!(
        settings.serve.http.listener.address().to_string(),
        "[::1]:0"
    );
    assert!(settings.serve.http.exclude_health_endpoints);
    assert_eq!(settings.serve.http.timeouts.idle.as_secs(), 601);
    assert_eq!(settings.serve.http.limits.memory, 32 << 20);
    assert_eq!(settings.serve.http.limits.connections, 8192);
    assert_eq!(
        (settings.serve.workers, settings.serve.driver),
        (3, DriverChoice::Epoll)
    );
    assert_eq!(settings.credentials.clock_skew, Duration::from_secs(90));
    let keys = &settings.credentials.api_keys;
    assert_eq!(keys.default_ttl, Some(Duration::from_secs(720 * 3600)));
    assert_eq!(keys.prefix.current, "007");
    assert_eq!(keys.prefix.retired, ["a", "b_c"]);
    assert_eq!(
        (
            keys.prefix.public_current.as_deref(),
            keys.prefix.public_retired.as_slice()
        ),
        (Some("pub"), ["p".to_owned()].as_slice())
    );
    assert_eq!(settings.secrets.hmac_retired.len(), 1);
    assert_eq!(
        settings.db.directory,
        PathBuf::from("/tmp/talos.db.rocksdb")
    );
    assert_eq!(
        (settings.db.shards, settings.db.block_cache_bytes),
        (Some(8), 65_536)
    );
    assert_eq!(
        (settings.cache.cache_type, settings.cache.memory_bytes_max),
        (CacheType::Noop, 1 << 30)
    );
    assert_eq!(settings.quota.api_keys_max, Some(12));
    assert_eq!(
        (settings.log.level, settings.log.format),
        (LogLevel::Debug, LogFormat::Text)
    );
    let warnings: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings.concat().starts_with("db.dsn: SQLite is not used"),
        "{warnings:?}"
    );
}

#[test]
fn localhost_is_an_address() {
    let (settings, _) = load("serve: {http: {host: localhost}}", &[]).expect("settings");
    assert_eq!(
        settings.serve.http.listener.host,
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    );
}

#[test]
fn a_default_life_beyond_the_greatest_age_is_worth_a_warning() {
    let (_, warnings) = load(
        "credentials: {api_keys: {default_ttl: 2y, max_ttl: 1y}}",
        &[],
    )
    .expect("settings");
    assert_eq!(
        warnings.first().map(|warning| warning.key),
        Some("credentials.api_keys.default_ttl")
    );
}
