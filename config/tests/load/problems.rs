//! Every class of error, and what its message says.

use super::*;

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
    let (_, warnings) = load("", &[("TALOS_SERVE_HTTP_PROT", "1")]).expect("settings");
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment: TALOS_SERVE_HTTP_PROT: no such setting, so it is ignored; did you mean TALOS_SERVE_HTTP_PORT?"
        ]
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
        ("cache: {type: disk}", "one of memory, noop, redis"),
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
            if key.path == "cache.redis.password" {
                let (settings, _) = load("", &[(variable.as_str(), value)]).expect("settings");
                assert!(!format!("{settings:?}").contains("hunter2"));
                continue;
            }
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
        complaints(load(
            yaml,
            &[("TALOS_LOG_LEVEL", "z"), ("TALOS_DB_SHARDS", "3")]
        ))
        .len(),
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
