//! Values and keys of configurations that were written for other servers.

use talos_config::ClientIpSource;

use super::*;

/// The settings, and the lines of the warnings.
fn accepted(yaml: &str) -> (Settings, Vec<String>) {
    let (settings, warnings) = load(yaml, &[]).unwrap_or_else(|error| panic!("{yaml}: {error}"));
    (settings, warnings.iter().map(Warning::to_string).collect())
}

/// The settings of a configuration that is worth no warning.
fn quietly(yaml: &str) -> Settings {
    let (settings, warnings) = accepted(yaml);
    assert_eq!(warnings, [""; 0], "{yaml}");
    settings
}

#[test]
fn the_connection_has_three_names() {
    for name in ["UNSPECIFIED", "REMOTE_ADDRESS", "REMOTE_ADDR"] {
        let settings = quietly(&format!(
            "serve: {{http: {{client_ip_source: CLIENT_IP_SOURCE_{name}}}}}"
        ));
        let source = settings.serve.http.client_ip_source;
        assert_eq!(source, ClientIpSource::RemoteAddress, "{name}");
    }
    let bare = complaint("serve: {http: {client_ip_source: REMOTE_ADDR}}", &[]);
    assert!(bare.contains("CLIENT_IP_SOURCE_REMOTE_ADDR"), "{bare}");
}

#[test]
fn a_cache_may_be_off_in_several_ways() {
    for (yaml, is_on) in [
        ("{}", true),
        ("{enabled: true, memory: {num_counters: 10000}}", true),
        ("{memory: {num_counters: 0}}", true),
        ("{enabled: false}", false),
        ("{type: noop}", false),
        ("{enabled: true, type: noop}", false),
        ("{ttl: 0}", false),
        ("{ttl: 0s}", false),
        ("{ttl: -1s}", false),
        ("{ttl: -5m}", false),
        ("{ttl: 1s}", true),
    ] {
        let cache = quietly(&format!("cache: {yaml}")).cache;
        let bytes = if is_on { 104_857_600 } else { 0 };
        assert_eq!(cache.memory_bytes(), bytes, "{yaml}");
    }
    for (yaml, says) in [
        ("{ttl: 1ms}", "too small"),
        ("{ttl: -soon}", "or 0 for none"),
        ("{enabled: 1}", "true or false"),
        ("{memory: {num_counters: many}}", "not a whole number"),
        ("{memory: {num_counter: 1}}", "cache.memory.num_counters?"),
    ] {
        let line = complaint(&format!("cache: {yaml}"), &[]);
        assert!(line.contains(says), "{line}");
    }
}

#[test]
fn redis_is_memory_with_one_warning() {
    let redis = "redis: {addrs: ['a:6379', 'b:6379', '[::1]:6379'], username: u, password: p, \
                 db: 3, timeout: 3s, pool_size: 100, min_idle_conns: 2, conn_max_idle_time: 5m, \
                 conn_max_lifetime: 30m, tls: {enabled: true}}";
    let (settings, warnings) = accepted(&format!("cache: {{type: redis, {redis}}}"));
    assert_eq!(settings.cache.memory_bytes(), 104_857_600);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings.concat();
    assert!(
        warning.starts_with("cache.type: Redis is not used"),
        "{warning}"
    );
    quietly(&format!("cache: {{{redis}}}"));
    for (yaml, says) in [
        ("{addrs: [localhost]}", "HOST:PORT"),
        ("{db: 16}", "too large"),
        ("{timeout: soon}", "not a duration"),
        (
            "{tls: {enable: true}}",
            "did you mean cache.redis.tls.enabled?",
        ),
    ] {
        let line = complaint(&format!("cache: {{redis: {yaml}}}"), &[]);
        assert!(line.contains(says), "{line}");
    }
    // This one counts requests, which every node does on its own.
    let line = complaint("rate_limit: {backend: redis}", &[]);
    assert!(line.contains("allowed: one of memory"), "{line}");
}

#[test]
fn tracing_that_is_off() {
    quietly("tracing: {enabled: false}");
    quietly("tracing: {}");
    quietly(
        "tracing: {enabled: false, service_name: keys, service_version: 1.2.3, environment: test, \
         exporter: otlp, protocol: http, endpoint: 'http://collector:4318', sample_rate: 0.25}",
    );
    for (yaml, says) in [
        ("{enabled: true}", "exports no traces"),
        ("{exporter: zipkin}", "one of otlp"),
        ("{sample_rate: 1.5}", "a number from 0 to 1"),
        ("{sample_rate: .nan}", "a number from 0 to 1"),
        ("{sample: 1}", "unknown key"),
    ] {
        let line = complaint(&format!("tracing: {yaml}"), &[]);
        assert!(line.contains(says), "{line}");
    }
}

#[test]
fn one_tenant_has_no_networks() {
    quietly("multitenancy: {networks: []}");
    quietly("multitenancy: {enabled: false, networks: }");
    let none = load("", &[("TALOS_MULTITENANCY_NETWORKS", "[]")]).expect("settings");
    assert_eq!(none.1, []);
    for (yaml, says) in [
        ("networks: [{hostname: a.example, id: x}]", "not a UUID"),
        ("enabled: true", "at least one network"),
    ] {
        let line = complaint(&format!("multitenancy: {{{yaml}}}"), &[]);
        assert!(line.contains(says), "{line}");
    }
}

#[test]
fn files_of_sqlite_are_directories() {
    for (dsn, directory) in [
        ("sqlite3:///tmp/t.db", "/tmp/t.db.rocksdb"),
        ("sqlite3://t.db?_fk=true&mode=rwc", "t.db.rocksdb"),
        ("sqlite://./t.db", "./t.db.rocksdb"),
    ] {
        let (settings, warnings) = accepted(&format!("db: {{dsn: '{dsn}'}}"));
        assert_eq!(settings.db.directory, Path::new(directory));
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
}

#[test]
fn a_quota_may_be_nothing() {
    let quota = |yaml: &str| quietly(yaml).quota.api_keys_max;
    assert_eq!(quota("quota: {api_keys_max: 0}"), Some(0));
    assert_eq!(quota("quota: {api_keys_max: }"), None);
    assert_eq!(quota("quota: {}"), None);
    let line = complaint("quota: {api_keys_max: -1}", &[]);
    assert!(line.contains("a whole number from 0"), "{line}");
}

#[test]
fn a_key_set_may_be_empty() {
    let urls = "jwt: {signing_keys: {urls: ['base64://eyJrZXlzIjpbXX0=']}}";
    let settings = quietly(&format!("credentials: {{derived_tokens: {{{urls}}}}}"));
    let keys = &settings.credentials.signing_keys;
    assert_eq!(keys.public_set().to_string(), r#"{"keys":[]}"#);
    assert!(keys.signing_key(None).is_err());
}

#[test]
fn extensions_hold_anchors() {
    let settings = quietly(
        "x-secrets: &retired [one-retired-secret-of-32-characters]\n\
         x-listener: &listener {host: 127.0.0.1, port: 1234}\n\
         x-anything: [1, {a: b}]\n\
         serve: {http: *listener, metrics: {<<: *listener, port: 4321}}\n\
         secrets: {hmac: {retired: *retired}}\n",
    );
    let serve = &settings.serve;
    assert_eq!(serve.http.listener.address().to_string(), "127.0.0.1:1234");
    assert_eq!(serve.metrics.address().to_string(), "127.0.0.1:4321");
    assert_eq!(settings.secrets.hmac_retired.len(), 1);
    for yaml in ["serve: {x-http: {port: 1}}", "xserve: {}", "X: 1"] {
        let line = complaint(yaml, &[]);
        assert!(line.contains("unknown key"), "{line}");
    }
}

#[test]
fn variables_of_a_platform_do_not_stop_the_start() {
    let injected = [
        ("TALOS_SERVICE_HOST", "10.96.0.7"),
        ("TALOS_SERVICE_PORT", "4420"),
        ("TALOS_SERVICE_PORT_HTTP", "4420"),
        ("TALOS_PORT", "tcp://10.96.0.7:4420"),
        ("TALOS_PORT_4420_TCP", "tcp://10.96.0.7:4420"),
        ("TALOS_PORT_4420_TCP_PROTO", "tcp"),
        ("TALOS_ADMIN_TOKEN", "x"),
        ("TALOS_VERIFY_URL", "http://localhost"),
    ];
    let (settings, warnings) = load("", &injected).expect("settings");
    assert_eq!(settings.serve.http.listener.port, 4420);
    for (name, _) in injected {
        let about = |warning: &&Warning| warning.message.starts_with(&format!("{name}: "));
        assert_eq!(warnings.iter().filter(about).count(), 1, "{name}");
    }
    assert_eq!(warnings.len(), injected.len());
}

#[test]
fn an_empty_variable_is_not_set() {
    for key in KEYS {
        let variable = key.variable();
        let other = match key.path {
            "secrets.hmac.current" | "credentials.issuer" => continue,
            _ => "",
        };
        let (_, warnings) = load("", &[(&variable, other)]).unwrap_or_else(|error| {
            panic!("{variable}: {error}");
        });
        assert_eq!(warnings, [], "{variable}");
    }
    for (variable, says) in [
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "secrets.hmac.current: required",
        ),
        ("TALOS_CREDENTIALS_ISSUER", "credentials.issuer: required"),
    ] {
        let line = complaint("", &[(variable, "")]);
        assert!(line.starts_with(says), "{line}");
    }
    let yaml = "serve: {http: {port: 7}}";
    let (settings, _) = load(yaml, &[("TALOS_SERVE_HTTP_PORT", "")]).expect("settings");
    assert_eq!(settings.serve.http.listener.port, 7);
}

#[test]
fn the_shutdown_may_be_delayed() {
    let delay = |yaml: &str| quietly(yaml).serve.shutdown_delay;
    assert_eq!(delay(""), Duration::ZERO);
    assert_eq!(
        delay("serve: {shutdown: {delay: 15s}}"),
        Duration::from_secs(15)
    );
    assert_eq!(delay("serve: {shutdown: {delay: 0}}"), Duration::ZERO);
    let line = complaint("serve: {shutdown: {delay: 11m}}", &[]);
    assert!(line.contains("too large"), "{line}");
}
