//! Loading settings from all sources, and every class of error.

#![cfg(test)]

mod replication;
mod tokens;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use talos_config::{
    CacheType, ConfigError, DriverChoice, Fallback, KEYS, LogFormat, LogLevel, Preset, Sensitivity,
    Settings, Warning,
};

const SECRET: &str = "correct-horse-battery-staple-0123456789";

type Loaded = Result<(Settings, Vec<Warning>), ConfigError>;

/// Loads `yaml` as `talos.yaml` with the required keys in the environment, unless `environment` sets them.
fn load(yaml: &str, environment: &[(&str, &str)]) -> Loaded {
    let required = [
        ("TALOS_CREDENTIALS_ISSUER", "https://keys.example.com"),
        ("TALOS_SECRETS_HMAC_CURRENT", SECRET),
    ];
    let required = required
        .into_iter()
        .filter(|(name, _)| !environment.iter().any(|(other, _)| other == name));
    load_bare(
        yaml,
        &required
            .chain(environment.iter().copied())
            .collect::<Vec<_>>(),
        &[],
    )
}

fn load_bare(yaml: &str, environment: &[(&str, &str)], presets: &[Preset]) -> Loaded {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("talos.yaml");
    fs::write(&path, yaml).expect("a file");
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(&path), environment, presets)
}

/// The lines of the error, without the directory of the file.
fn complaints(loaded: Loaded) -> Vec<String> {
    let text = loaded.map(|_| ()).expect_err("an error").to_string();
    text.lines()
        .map(|line| match line.find("talos.yaml") {
            Some(at) => line.split_at(at).1.to_owned(),
            None => line.to_owned(),
        })
        .collect()
}

fn complaint(yaml: &str, environment: &[(&str, &str)]) -> String {
    let lines = complaints(load(yaml, environment));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.concat()
}

#[test]
fn defaults() {
    let (settings, warnings) = load("", &[]).expect("settings");
    assert_eq!(warnings, []);
    assert_eq!(
        settings.serve.http.listener.address().to_string(),
        "0.0.0.0:4420"
    );
    assert_eq!(settings.serve.metrics.address().to_string(), "0.0.0.0:4422");
    assert!(settings.serve.workers >= 1 && settings.serve.driver == DriverChoice::Auto);
    assert!(!settings.serve.http.exclude_health_endpoints);
    let keys = &settings.credentials.api_keys;
    assert_eq!(
        (keys.default_ttl, keys.max_ttl),
        (None, Duration::from_secs(8760 * 3600))
    );
    assert_eq!(
        (keys.prefix.current.as_str(), &keys.prefix.public_current),
        ("ory_ak", &None)
    );
    assert_eq!(settings.credentials.clock_skew, Duration::from_secs(300));
    assert!(settings.credentials.signing_keys.signing_key(None).is_err());
    assert_eq!(settings.secrets.hmac_current.expose(), SECRET);
    assert_eq!(settings.db.directory, PathBuf::from("./talos-data"));
    assert_eq!(
        (settings.db.shards, settings.db.block_cache_bytes),
        (None, 256 << 20)
    );
    assert_eq!(settings.cache.cache_type, CacheType::Memory);
    assert_eq!(
        (settings.cache.ttl, settings.cache.memory_bytes_max),
        (Duration::from_secs(300), 104_857_600)
    );
    assert_eq!(
        (settings.log.level, settings.log.format),
        (LogLevel::Info, LogFormat::Json)
    );
}

#[test]
fn the_sample_file_is_every_key_at_its_default() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("talos.yaml");
    let secret = ("TALOS_SECRETS_HMAC_CURRENT".to_owned(), SECRET.to_owned());
    let (from_sample, warnings) =
        Settings::load(Some(&sample), [secret].into_iter(), &[]).expect("settings");
    assert_eq!(warnings, []);
    let (defaults, _) = load(
        "credentials: {issuer: 'http://localhost:4420'}",
        &[("TALOS_CREDENTIALS_ISSUER", "http://localhost:4420")],
    )
    .expect("settings");
    assert_eq!(format!("{from_sample:?}"), format!("{defaults:?}"));
    let text = fs::read_to_string(&sample).expect("the sample");
    for key in KEYS {
        let name = key.path.rsplit('.').next().unwrap_or_default();
        assert!(
            text.contains(&format!("{name}:")),
            "{} is missing from the sample",
            key.path
        );
    }
}

#[test]
fn environment_over_file_over_preset_over_default() {
    let preset = |values: &[&str]| Preset {
        path: "serve.http.port",
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let port = |yaml: &str, environment: &[(&str, &str)], presets: &[Preset]| {
        let required = [
            ("TALOS_CREDENTIALS_ISSUER", "x"),
            ("TALOS_SECRETS_HMAC_CURRENT", SECRET),
        ];
        let environment: Vec<_> = required.iter().chain(environment).copied().collect();
        load_bare(yaml, &environment, presets)
            .expect("settings")
            .0
            .serve
            .http
            .listener
            .port
    };
    let file = "serve: {http: {port: 2}}";
    let variable = [("TALOS_SERVE_HTTP_PORT", "1")];
    assert_eq!(port(file, &variable, &[preset(&["3"])]), 1);
    assert_eq!(port(file, &[], &[preset(&["3"])]), 2);
    assert_eq!(port("", &[], &[preset(&["3"])]), 3);
    assert_eq!(port("", &[], &[]), 4420);
    // A bad value that is overridden is not looked at.
    assert_eq!(port("serve: {http: {port: x}}", &variable, &[]), 1);
}

#[test]
fn values_of_every_kind_from_the_file() {
    let yaml = r#"
serve:
  http: { host: "::1", port: 0, request_log: { exclude_health_endpoints: true } }
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
fn lists_from_the_environment() {
    let retired = |environment: &[(&str, &str)]| {
        load(
            "credentials: {api_keys: {prefix: {retired: [file]}}}",
            environment,
        )
        .expect("settings")
        .0
        .credentials
        .api_keys
        .prefix
        .retired
    };
    assert_eq!(retired(&[]), ["file"]);
    assert_eq!(
        retired(&[("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "a,b")]),
        ["a", "b"]
    );
    assert_eq!(
        retired(&[("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "")]),
        [""; 0]
    );
    let items = [
        ("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED_0", "a"),
        ("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED_1", "b"),
    ];
    assert_eq!(retired(&items), ["a", "b"]);
}

#[test]
fn unknown_keys_name_path_place_and_what_was_meant() {
    for (yaml, says) in [
        (
            "serve:\n  http:\n    prot: 1\n",
            "talos.yaml:3:5: serve.http.prot: unknown key; did you mean serve.http.port?",
        ),
        (
            "serv: {http: {port: 1}}\n",
            "talos.yaml:1:1: serv: unknown key; did you mean serve?",
        ),
        (
            "log: {colour: x}\n",
            "talos.yaml:1:7: log.colour: unknown key",
        ),
        (
            "clock_skew: 5m\n",
            "talos.yaml:1:1: clock_skew: unknown key; did you mean credentials.clock_skew?",
        ),
    ] {
        assert_eq!(complaint(yaml, &[]), says);
    }
    let variable = complaint("", &[("TALOS_SERVE_HTTP_PROT", "1")]);
    assert_eq!(
        variable,
        "TALOS_SERVE_HTTP_PROT: no such setting; did you mean TALOS_SERVE_HTTP_PORT?"
    );
}

#[test]
fn bad_values_name_path_place_problem_and_what_is_allowed() {
    for (yaml, says) in [
        (
            "serve: {http: {port: 65536}}",
            r#"talos.yaml:1:22: serve.http.port: "65536": too large; allowed: a whole number from 0 to 65535"#,
        ),
        ("serve: {http: {port: -1}}", "not a whole number"),
        ("serve: {http: {port: 1.5}}", "not a whole number"),
        ("serve: {http: {port: [1]}}", "a list is not allowed here"),
        (
            "serve: {http: {port: {a: 1}}}",
            "a mapping is not allowed here",
        ),
        (
            "serve: {http: 4420}",
            "serve.http: holds further keys, such as serve.http.host",
        ),
        (
            "serve: {http: {host: example.com}}",
            "allowed: an IP address or localhost",
        ),
        (
            "serve: {workers: 0}",
            "too small; allowed: a whole number from 1 to 256",
        ),
        (
            "serve: {driver: kqueue}",
            r#""kqueue": not known; allowed: one of auto, io_uring, epoll"#,
        ),
        (
            "serve: {http: {request_log: {exclude_health_endpoints: yes}}}",
            "allowed: true or false",
        ),
        (
            "credentials: {clock_skew: 11m}",
            "too large; allowed: a duration from 0s to 600s",
        ),
        ("credentials: {clock_skew: 5}", "not a duration"),
        ("credentials: {api_keys: {max_ttl: 10y1s}}", "too large"),
        (
            "credentials: {api_keys: {prefix: {current: a-b}}}",
            "1 to 16 letters, digits or underscores",
        ),
        (
            "credentials: {api_keys: {prefix: {current: ''}}}",
            "not a prefix",
        ),
        (
            "credentials: {api_keys: {prefix: {retired: a}}}",
            "a list is needed here",
        ),
        (
            "credentials: {api_keys: {prefix: {retired: [a, abcdefghijklmnopq]}}}",
            r#"item 1: "abcdefghijklmnopq""#,
        ),
        (
            "credentials: {api_keys: {prefix: {retired: [[a]]}}}",
            "every item must be a text",
        ),
        (
            "db: {shards: 3}",
            "not a power of two; allowed: a power of two from 1 to 256",
        ),
        ("db: {shards: 512}", "too large"),
        ("db: {block_cache_size: 1 Zi}", "not a size in bytes"),
        (
            "db: {dsn: 'postgres://talos:hunter2@h/d'}",
            "db.dsn: the scheme postgres:// is not supported; allowed: rocksdb://",
        ),
        ("cache: {type: redis}", "one of memory, noop"),
        ("cache: {ttl: 1ms}", "too small"),
        (
            "log: {level: verbose}",
            "one of trace, debug, info, warn, error",
        ),
    ] {
        let line = complaint(yaml, &[]);
        assert!(
            line.contains(says) && line.starts_with("talos.yaml:1:"),
            "{yaml}: {line}"
        );
        assert!(!line.contains("hunter2"), "{line}");
    }
    let long = complaint("", &[("TALOS_LOG_LEVEL", &"x".repeat(500))]);
    assert!(
        long.starts_with("TALOS_LOG_LEVEL: log.level: \"xxx") && long.len() < 200,
        "{long}"
    );
}

#[test]
fn sensitive_values_are_never_shown() {
    for key in KEYS
        .iter()
        .filter(|key| key.sensitivity == Sensitivity::Secret)
    {
        for value in ["hunter2", "base64://hunter2", "postgres://hunter2@x"] {
            let variable = key.variable();
            let line = complaint("", &[(variable.as_str(), value)]);
            assert!(
                line.contains(key.path) && !line.contains("hunter2"),
                "{line}"
            );
        }
    }
    let (settings, _) = load("", &[]).expect("settings");
    assert!(!format!("{settings:?}").contains(SECRET));
}

#[test]
fn required_keys_say_how_to_get_a_value() {
    let lines = complaints(load_bare("", &[], &[]));
    assert_eq!(lines.len(), 2, "{lines:?}");
    let all = lines.join("\n");
    for says in [
        "credentials.issuer: required",
        "secrets.hmac.current: required",
        "openssl rand -hex 32",
        "talos serve --dev",
        "TALOS_SECRETS_HMAC_CURRENT",
    ] {
        assert!(all.contains(says), "{all}");
    }
    let required = KEYS
        .iter()
        .filter(|key| matches!(key.fallback, Fallback::Required(_)))
        .count();
    assert_eq!(required, 1);
    // Present but bad is one problem, not two.
    let short = complaint("", &[("TALOS_SECRETS_HMAC_CURRENT", "hunter2")]);
    assert!(
        short.contains("only 7 characters; allowed: at least 32 characters"),
        "{short}"
    );
    let mapping = complaints(load_bare(
        "secrets: {hmac: {current: {a: 1}}}\ncredentials: {issuer: x}",
        &[],
        &[],
    ));
    assert_eq!(mapping.len(), 1, "{mapping:?}");
}

#[test]
fn all_problems_of_all_sources_at_once() {
    let yaml = "serve: {http: {port: x}, driver: y}\nlgo: {}\n";
    assert_eq!(
        complaints(load(yaml, &[("TALOS_LOG_LEVEL", "z"), ("TALOS_FOO", "")])).len(),
        5
    );
}

#[test]
fn files_that_are_no_configuration() {
    for yaml in [
        "a: [1",
        "- a\n- b\n",
        "hunter2",
        "a: 1\na: 2\n",
        "log: {level: info}\nlog: {level: info}\n",
    ] {
        let line = complaint(yaml, &[]);
        assert!(
            line.starts_with("talos.yaml: not valid YAML: ") && !line.contains("hunter2"),
            "{line}"
        );
    }
    let missing = Settings::load(
        Some(Path::new("/nonexistent/talos.yaml")),
        std::iter::empty(),
        &[],
    );
    assert!(missing.is_err_and(|error| {
        error
            .to_string()
            .starts_with("configuration file /nonexistent/talos.yaml: ")
    }));
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
fn localhost_is_an_address() {
    let (settings, _) = load("serve: {http: {host: localhost}}", &[]).expect("settings");
    assert_eq!(
        settings.serve.http.listener.host,
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    );
}
