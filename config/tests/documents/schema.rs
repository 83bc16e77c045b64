//! The JSON Schema of the configuration file.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::Value;
use talos_config::{
    ConfigFile, Effective, KEYS, SectionComments, Sensitivity, YamlWriter, json_schema,
};

use super::validator::fault;

fn json(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}: {error}"))
}

/// What the schema says about the file.
fn verdict(yaml: &str) -> Option<String> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(json_schema);
    fault(&SCHEMA, &json(yaml), "")
}

/// Whether the server accepts the file, apart from what is missing.
fn is_accepted(yaml: &str) -> bool {
    let file = ConfigFile::new("talos.yaml".to_owned(), yaml.to_owned());
    Effective::load(Some(&file), std::iter::empty()).is_ok()
}

#[test]
fn the_sample_files_are_valid() {
    for name in ["talos.yaml", "primary.yaml", "replica.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let yaml = fs::read_to_string(path).expect("a file");
        assert_eq!(verdict(&yaml), None, "{name}");
    }
    assert_eq!(
        verdict("x-anchors: {a: [1]}\nserve:\nlog: {level: }\n"),
        None
    );
}

#[test]
fn defaults_and_examples_are_valid() {
    let schema = json_schema();
    for key in KEYS {
        let mut schema = &schema;
        for name in key.path.split('.') {
            schema = &schema["properties"][name];
        }
        assert!(
            schema["description"]
                .as_str()
                .unwrap()
                .starts_with(key.about),
            "{}",
            key.path
        );
        assert_eq!(
            fault(schema, &schema["default"], "default"),
            None,
            "{}",
            key.path
        );
        // Examples of secrets are masked.
        if key.sensitivity == Sensitivity::Secret {
            continue;
        }
        let example = key.example_value();
        assert_eq!(fault(schema, &example, "example"), None, "{}", key.path);
    }
}

#[test]
fn faults_are_found() {
    for (yaml, place) in [
        ("serv: {}", ": additionalProperties"),
        (
            "serve: {http: {prot: 1}}",
            "/serve/http: additionalProperties",
        ),
        ("serve: {x-http: {}}", "/serve: additionalProperties"),
        ("serve: [1]", "/serve: type"),
        ("serve: {http: {port: 65536}}", "/serve/http/port: maximum"),
        ("serve: {http: {port: -1}}", "/serve/http/port: minimum"),
        ("serve: {http: {port: many}}", "/serve/http/port: type"),
        (
            "serve: {http: {host: example.com}}",
            "/serve/http/host: pattern",
        ),
        ("serve: {driver: kqueue}", "/serve/driver: enum"),
        ("cache: {enabled: maybe}", "/cache/enabled: type"),
        ("cache: {ttl: 5}", "/cache/ttl: maximum"),
        ("cache: {ttl: soon}", "/cache/ttl: pattern"),
        (
            "credentials: {clock_skew: 1 hour}",
            "/credentials/clock_skew: pattern",
        ),
        (
            "credentials: {clock_skew: -5m}",
            "/credentials/clock_skew: pattern",
        ),
        (
            "credentials: {issuer: ''}",
            "/credentials/issuer: minLength",
        ),
        ("credentials: {issuer: [a]}", "/credentials/issuer: type"),
        (
            "credentials: {issuer_retired: [{valu: a}]}",
            "/credentials/issuer_retired/0: anyOf",
        ),
        (
            "credentials: {api_keys: {prefix: {current: a-b}}}",
            "/credentials/api_keys/prefix/current: pattern",
        ),
        (
            "credentials: {derived_tokens: {macaroon: {prefix: {current: abcdefghi}}}}",
            "/credentials/derived_tokens/macaroon/prefix/current: pattern",
        ),
        (
            "secrets: {hmac: {current: short}}",
            "/secrets/hmac/current: minLength",
        ),
        ("db: {shards: 3}", "/db/shards: enum"),
        ("db: {dsn: 'mysql://a'}", "/db/dsn: pattern"),
        (
            "db: {block_cache_size: 1 Zi}",
            "/db/block_cache_size: pattern",
        ),
        ("db: {block_cache_size: 1}", "/db/block_cache_size: minimum"),
        (
            "tracing: {sample_rate: 1.5}",
            "/tracing/sample_rate: maximum",
        ),
        (
            "multitenancy: {enabled: maybe}",
            "/multitenancy/enabled: type",
        ),
        (
            "multitenancy: {networks: [{hostname: a}]}",
            "/multitenancy/networks/0: required",
        ),
        (
            "serve: {admin: {auth: {peers: [{uid: 1, role: root}]}}}",
            "/serve/admin/auth/peers/0/role: enum",
        ),
        (
            "serve: {admin: {auth: {certificates: [{name: a, role: read, dns: a, uri: b}]}}}",
            "/serve/admin/auth/certificates/0: oneOf",
        ),
    ] {
        assert_eq!(verdict(yaml).as_deref(), Some(place), "{yaml}");
        assert!(!is_accepted(yaml), "the server accepts {yaml}");
    }
}

/// Values that fit some keys. The schema refuses none of them where the server takes it. Numbers in
/// quotes are not here: the server takes them, and an editor should not offer them.
#[test]
fn what_the_server_accepts_is_valid() {
    let values = [
        "0",
        "1",
        "-1",
        "4",
        "64",
        "4420",
        "0.5",
        "1048576",
        "104857600",
        "-5m",
        "0s",
        "1m",
        "1h30m",
        "1.5h",
        "30d",
        "500ms",
        "64KiB",
        "64 kib",
        "1 MiB",
        "1GB",
        "true",
        "false",
        "info",
        "json",
        "text",
        "none",
        "memory",
        "interval",
        "epoll",
        "localhost",
        "LOCALHOST",
        "'::1'",
        "10.0.0.1",
        "abc",
        "a_b",
        "'*'",
        "https://a.example",
        "'rocksdb://./x'",
        "'sqlite://x?y=z'",
        "'127.0.0.1:1'",
        "'[::1]:1'",
        "0123456789abcdef0123456789abcdef",
        "[]",
        "[a]",
        "['*']",
        "['10.0.0.0/8']",
        "['a:1']",
        "['base64://eyJrZXlzIjpbXX0=']",
        "[0123456789abcdef0123456789abcdef]",
        "[{value: 0123456789abcdef0123456789abcdef, expires_at: 2027-01-31T00:00:00Z}]",
        "[{uid: 1000, role: read}]",
        "[{name: a, role: admin, email: a@b.c}]",
        "",
    ];
    let mut accepted = 0;
    for key in KEYS {
        let mut fitting = 0;
        for value in values {
            // A text may be spelt like a boolean, but that is hardly meant.
            let is_boolean = matches!(value, "true" | "false");
            if is_boolean && !matches!(key.kind_name(), "boolean" | "constant") {
                continue;
            }
            let mut yaml = YamlWriter::new(SectionComments::LeftOut);
            yaml.key(key.path, &[], value, "");
            let yaml = yaml.finish();
            if is_accepted(&yaml) {
                assert_eq!(verdict(&yaml), None, "{yaml}");
                fitting += usize::from(!value.is_empty());
            }
        }
        accepted += fitting;
    }
    assert!(accepted > 500, "{accepted}");
}
