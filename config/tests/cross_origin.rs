//! Cross-origin rules, trusted hosts and proxies, the single tenant, and loading only the database
//! settings.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::PathBuf;

use talos_config::{ConfigError, Settings, Warning};

fn load(yaml: &str) -> Result<(Settings, Vec<Warning>), ConfigError> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("talos.yaml");
    fs::write(&path, yaml).expect("a file");
    let required = [
        ("TALOS_CREDENTIALS_ISSUER", "https://keys.example.com"),
        (
            "TALOS_SECRETS_HMAC_CURRENT",
            "correct-horse-battery-staple-0123456789",
        ),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::load(Some(&path), required.into_iter(), &[])
}

fn complaint(yaml: &str) -> String {
    let text = load(yaml).expect_err("a bad value").to_string();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn cors(yaml: &str) -> Result<talos_config::Cors, Vec<String>> {
    load(&format!("serve: {{http: {{cors: {yaml}}}}}"))
        .map(|(settings, _)| settings.serve.http.cors)
        .map_err(|error| error.to_string().lines().map(ToOwned::to_owned).collect())
}

#[test]
fn cross_origin_rules() {
    let defaults = cors("{}").expect("settings");
    assert!(!defaults.enabled && !defaults.allow_credentials && !defaults.debug);
    assert_eq!(defaults.allowed_origins, ["*"]);
    assert_eq!(
        defaults.allowed_methods,
        ["GET", "POST", "PUT", "PATCH", "DELETE"]
    );
    assert_eq!(defaults.allowed_headers, ["Authorization", "Content-Type"]);
    assert_eq!(
        (defaults.exposed_headers, defaults.max_age_s),
        (vec!["Content-Type".to_owned()], 0)
    );
    let origins = cors("{allowed_origins: ['https://A.example', 'http://*.b.example:8080']}");
    assert_eq!(
        origins.expect("settings").allowed_origins,
        ["https://a.example", "http://*.b.example:8080"]
    );
    for yaml in [
        "{allowed_origins: ['a.example']}",
        "{allowed_origins: ['https://a.example/']}",
        "{allowed_origins: ['https://*.*.example']}",
        "{allowed_origins: ['https://']}",
        "{allowed_methods: ['G T']}",
        "{allowed_headers: ['x: y']}",
        "{exposed_headers: ['']}",
        "{max_age: 86401}",
        "{max_age: 1h}",
    ] {
        let lines = cors(yaml).expect_err("a bad value");
        assert!(
            lines.len() == 1 && lines[0].contains("allowed: "),
            "{lines:?}"
        );
    }
}

#[test]
fn credentials_are_not_for_every_origin() {
    for origins in [
        "['*']",
        "['https://a.example', '*']",
        "['https://*']",
        "['https://*:8443']",
    ] {
        let yaml =
            format!("{{enabled: true, allow_credentials: true, allowed_origins: {origins}}}");
        let lines = cors(&yaml).expect_err("a hole");
        assert!(
            lines[0].contains("serve.http.cors.allow_credentials"),
            "{lines:?}"
        );
    }
    for yaml in [
        "{enabled: true, allow_credentials: true, allowed_origins: ['https://*.a.example']}",
        "{allow_credentials: true}",
    ] {
        cors(yaml).expect("settings");
    }
}

#[test]
fn tenants_have_hosts() {
    let line = complaint("multitenancy: {enabled: true}");
    assert!(
        line.contains("multitenancy.networks") && line.contains("at least one network"),
        "{line}"
    );
    let (_, warnings) = load("serve: {http: {trust_forwarded_host: true}}").expect("settings");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn the_database_can_be_known_without_the_rest() {
    let given = |dsn: &str| {
        Some(talos_config::DsnOverride {
            place: "--database",
            dsn: dsn.to_owned(),
        })
    };
    let variable = || [("TALOS_DB_DSN".to_owned(), "rocksdb://variable".to_owned())].into_iter();
    let load = |dsn| talos_config::Database::load(None, variable(), dsn);
    let (database, _) = load(None).expect("a database");
    assert_eq!(database.directory, PathBuf::from("variable"));
    let (database, _) = load(given("rocksdb://given")).expect("a database");
    assert_eq!(database.directory, PathBuf::from("given"));
    let error = load(given("mysql://u:hunter2@h/db"))
        .expect_err("another engine")
        .to_string();
    for word in [
        "--database",
        "mysql://",
        "rocksdb://DIRECTORY",
        "sqlite://PATH",
    ] {
        assert!(error.contains(word), "{error}");
    }
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn hosts_of_administrators() {
    let hosts = |list: &str| load(&format!("serve: {{http: {{allowed_hosts: {list}}}}}"));
    let (settings, _) =
        hosts("[Admin.example., '*.Pages.example', '*', '::1', a_b]").expect("settings");
    let allowed = settings.serve.http.allowed_hosts;
    assert_eq!(
        allowed,
        ["admin.example", "*.pages.example", "*", "::1", "a_b"]
    );
    let (settings, _) = hosts("[]").expect("settings");
    assert!(settings.serve.http.allowed_hosts.is_empty());
    for bad in [
        "https://a.example",
        "a.example:80",
        "a.*.example",
        "*.",
        "a..b",
        ".a",
        "a/b",
        "*a",
        "a b",
    ] {
        let text = complaint(&format!("serve: {{http: {{allowed_hosts: ['{bad}']}}}}"));
        assert!(
            text.contains("serve.http.allowed_hosts") && text.contains("host name"),
            "{text}"
        );
    }
}

#[test]
fn proxies_that_are_trusted() {
    let proxies = |list: &str| {
        load(&format!(
            "serve: {{http: {{client_ip_source: CLIENT_IP_SOURCE_X_FORWARDED_FOR, trusted_proxies: {list}}}}}"
        ))
    };
    let (settings, warnings) =
        proxies("[10.0.0.0/8, 192.0.2.7, '2001:db8::/32', unix]").expect("settings");
    assert!(warnings.is_empty(), "{warnings:?}");
    let trusted = settings.serve.http.trusted_proxies;
    for (peer, wanted) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("2001:db8::1", true),
        ("::1", false),
    ] {
        let peer = peer.parse().expect("an address");
        assert_eq!(trusted.contain(Some(peer)), wanted, "{peer}");
    }
    assert!(trusted.contain(None));
    for bad in ["10.0.0.0/33", "proxy.example", "10.0.0.0-10.0.0.9", "Unix"] {
        let text = complaint(&format!("serve: {{http: {{trusted_proxies: ['{bad}']}}}}"));
        assert!(
            text.contains("serve.http.trusted_proxies") && text.contains("CIDR"),
            "{text}"
        );
    }
    let key = |warnings: Vec<Warning>| warnings.first().map(|warning| warning.key);
    let (_, warnings) = proxies("[]").expect("settings");
    assert_eq!(key(warnings), Some("serve.http.trusted_proxies"));
    let (_, warnings) = load("serve: {http: {trusted_proxies: [10.0.0.0/8]}}").expect("settings");
    assert_eq!(key(warnings), Some("serve.http.trusted_proxies"));
}
