//! Cross-origin rules, the single tenant, and loading only the database settings.

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
fn there_is_one_tenant() {
    let line = complaint("multitenancy: {enabled: true}");
    assert!(
        line.contains("multitenancy.enabled") && line.contains("serves one tenant"),
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
