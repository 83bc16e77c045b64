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

#[test]
fn lists_of_mappings_from_file_and_environment() {
    let entries = "[{uid: 1000, role: read}, {uid: 0, role: admin, name: us}]";
    let yaml = format!("serve: {{admin: {{auth: {{enabled: true, peers: {entries}}}}}}}");
    let whole = ("TALOS_SERVE_ADMIN_AUTH_PEERS", entries);
    let items = [
        (
            "TALOS_SERVE_ADMIN_AUTH_PEERS_0",
            r#"{"uid": 1000, "role": "read"}"#,
        ),
        (
            "TALOS_SERVE_ADMIN_AUTH_PEERS_1",
            r#"{"uid": "0", "role": "admin", "name": "us"}"#,
        ),
    ];
    for (yaml, environment) in [(yaml.as_str(), &[][..]), ("", &[whole]), ("", &items)] {
        let (settings, _) = load(yaml, environment).expect("settings");
        let peers = &settings.serve.admin_auth.peers;
        let peers: Vec<_> = peers
            .iter()
            .map(|peer| {
                (
                    peer.uid,
                    peer.principal.name.as_str(),
                    peer.principal.role.name(),
                )
            })
            .collect();
        assert_eq!(peers, [(1000, "uid-1000", "read"), (0, "us", "admin")]);
    }
    for (yaml, complaint) in [
        (
            "serve: {admin: {auth: {peers: [{uid: 1, role: root}]}}}",
            r#"serve.admin.auth.peers: item 0: "uid: 1, role: root": role: must be one of verify, read, write, operate, admin; allowed: a list of mappings, each of uid"#,
        ),
        (
            "serve: {admin: {auth: {certificates: [a]}}}",
            "serve.admin.auth.certificates: every item must be a mapping of texts",
        ),
        (
            "serve: {admin: {auth: {certificates: {dns: a}}}}",
            "serve.admin.auth.certificates: a mapping is not allowed here",
        ),
        (
            "serve: {admin: {auth: {bootstrap_token: hunter2hunter2}}}",
            "serve.admin.auth.bootstrap_token: only 14 characters; allowed: 32 to 512 characters",
        ),
    ] {
        let complaints = complaints(load(yaml, &[]));
        assert!(
            complaints.concat().contains(complaint) && !complaints.concat().contains("hunter2"),
            "{complaints:?}"
        );
    }
    let bad = ("TALOS_SERVE_ADMIN_AUTH_PEERS", "1000,1001");
    let complaint = complaints(load("", &[bad])).concat();
    assert!(
        complaint.contains("not a JSON array of objects"),
        "{complaint}"
    );
}

#[test]
fn rules_that_nothing_applies_are_warned_about() {
    let warned = |yaml: &str| {
        let (_, warnings) = load(yaml, &[]).expect("settings");
        let warnings: Vec<_> = warnings.iter().map(|warning| warning.key).collect();
        warnings.join(" ")
    };
    let peers = "peers: [{uid: 1, role: read}]";
    assert_eq!(
        warned(&format!(
            "serve: {{admin: {{auth: {{{peers}, open_verification: true}}}}}}"
        )),
        "serve.admin.auth.open_verification serve.admin.auth.peers"
    );
    let on = "admin: {auth: {enabled: true, certificates: [{name: a, role: read, dns: a}]}}";
    assert_eq!(
        warned(&format!("serve: {{{on}}}")),
        "serve.admin.auth.certificates"
    );
    let on = format!("admin: {{auth: {{enabled: true, {peers}}}}}");
    assert_eq!(
        warned(&format!("serve: {{{on}}}")),
        "serve.admin.auth.peers"
    );
    assert_eq!(
        warned(&format!("serve: {{http: {{socket: /tmp/s}}, {on}}}")),
        ""
    );
}
