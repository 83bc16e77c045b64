//! Accepted and rejected requests, and the limits of their fields.

mod digests;

use serde_json::{Value, json};
use talos_model::cidr::Cidr;
use talos_model::{RateLimitPolicy, Visibility};

use super::*;
use crate::key::tests::{bare, full};

const DEFAULT_TTL_MS: u64 = 7_000;

fn parse(body: &str) -> Result<IssueKey, ApiError> {
    parse_request(body.as_bytes(), TenantId::SINGLE, Some(DEFAULT_TTL_MS))
}

/// A valid request with one field replaced.
fn with(field: &str, value: Value) -> Result<IssueKey, ApiError> {
    let mut body = json!({"name": "n", "actor_id": "a"});
    body[field] = value;
    parse(&body.to_string())
}

fn message(result: Result<IssueKey, ApiError>) -> String {
    let error = result.expect_err("an error");
    assert_eq!(error.status(), 400);
    error.to_string()
}

#[test]
fn the_least_request() {
    let command = parse(r#"{"name":"n","actor_id":"a"}"#).expect("a command");
    assert_eq!(
        (command.name.as_str(), command.actor_id.as_str()),
        ("n", "a")
    );
    assert_eq!(command.tenant, TenantId::SINGLE);
    assert_eq!(command.scopes, Vec::<String>::new());
    assert_eq!(command.metadata, "");
    assert_eq!(command.visibility, Visibility::Secret);
    assert_eq!(command.ttl_ms, Some(DEFAULT_TTL_MS));
    assert_eq!(command.rate_limit, None);
    assert_eq!(command.allowed_cidrs, Vec::new());
    assert_eq!(command.request_id, None);
    let forever = parse_request(br#"{"name":"n","actor_id":"a"}"#, TenantId::SINGLE, None)
        .expect("a command");
    assert_eq!(forever.ttl_ms, None);
}

#[test]
fn every_field() {
    let body = r#"{
        "name": "My key", "actor_id": "user", "scopes": ["read:*", "write:*"], "ttl": "168h",
        "metadata": {"team": "payments", "n": [1, 2]}, "visibility": "KEY_VISIBILITY_PUBLIC",
        "rate_limit_policy": {"quota": "100", "window": "1m", "unit": "requests"},
        "ip_restriction": {"allowed_cidrs": ["10.1.2.3/8", "::1/128"]},
        "request_id": "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b", "unknown": {"a": [1]}, "key_id": 5
    }"#;
    let command = parse(body).expect("a command");
    assert_eq!(command.name, "My key");
    assert_eq!(command.actor_id, "user");
    assert_eq!(command.scopes, ["read:*", "write:*"]);
    assert_eq!(command.ttl_ms, Some(168 * 3600 * 1000));
    assert_eq!(command.metadata, r#"{"team":"payments","n":[1,2]}"#);
    assert_eq!(command.visibility, Visibility::Public);
    assert_eq!(
        command.rate_limit,
        Some(RateLimitPolicy {
            quota: 100,
            window_s: 60
        })
    );
    let blocks: Vec<_> = command.allowed_cidrs.iter().map(Cidr::to_string).collect();
    assert_eq!(blocks, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(
        command.request_id.map(|request| request.id).as_deref(),
        Some("0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b")
    );
}

#[test]
fn null_and_empty_values_are_unset() {
    let body = r#"{"name":"n","actor_id":"a","scopes":null,"metadata":null,"visibility":null,"ttl":null,
        "rate_limit_policy":null,"ip_restriction":null,"request_id":null}"#;
    assert_eq!(parse(body).expect("a command").ttl_ms, Some(DEFAULT_TTL_MS));
    assert_eq!(with("metadata", json!({})).expect("a command").metadata, "");
    assert_eq!(
        with("request_id", json!("")).expect("a command").request_id,
        None
    );
    assert_eq!(
        with("ip_restriction", json!({}))
            .expect("a command")
            .allowed_cidrs,
        Vec::new()
    );
    let public = with("visibility", json!(2)).expect("a command");
    assert_eq!(public.visibility, Visibility::Public);
    let unspecified = with("visibility", json!("KEY_VISIBILITY_UNSPECIFIED")).expect("a command");
    assert_eq!(unspecified.visibility, Visibility::Secret);
}

#[test]
fn required_fields_are_named() {
    let table = [
        ("", "name"),
        ("{}", "name"),
        (r#"{"actor_id":"a"}"#, "name"),
        (r#"{"name":null,"actor_id":"a"}"#, "name"),
        (r#"{"name":"","actor_id":"a"}"#, "name"),
        (r#"{"name":"n"}"#, "actor_id"),
        (r#"{"name":"n","actor_id":""}"#, "actor_id"),
    ];
    for (body, field) in table {
        let text = message(parse(body));
        assert!(
            text.starts_with(&format!("{field}: is required")),
            "{body}: {text}"
        );
    }
}

#[test]
fn limits_hold_at_both_edges() {
    // Each character has two bytes: the limits count characters.
    let text = |chars: usize| Value::from("é".repeat(chars));
    let list = |entries: usize, entry: &str| Value::from(vec![entry; entries]);
    let policy = |quota: Value| json!({"quota": quota, "window": "1s"});
    let cidrs = |entries| json!({"allowed_cidrs": list(entries, "10.0.0.0/8")});
    let metadata = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
    let table = [
        ("name", text(1), true),
        ("name", text(255), true),
        ("name", text(256), false),
        ("actor_id", text(255), true),
        ("actor_id", text(256), false),
        ("scopes", list(100, "s"), true),
        ("scopes", list(101, "s"), false),
        ("scopes", json!([text(255)]), true),
        ("scopes", json!([text(256)]), false),
        ("scopes", json!([""]), false),
        ("metadata", metadata(64 * 1024), true),
        ("metadata", metadata(64 * 1024 + 1), false),
        ("request_id", text(36), true),
        ("request_id", text(37), false),
        ("ip_restriction", cidrs(100), true),
        ("ip_restriction", cidrs(101), false),
        ("rate_limit_policy", policy(json!(1)), true),
        ("rate_limit_policy", policy(json!(0)), false),
        ("rate_limit_policy", policy(json!(-1)), false),
        (
            "rate_limit_policy",
            policy(json!("9223372036854775807")),
            true,
        ),
        (
            "rate_limit_policy",
            policy(json!("9223372036854775808")),
            false,
        ),
        ("ttl", json!("1s"), true),
        ("ttl", json!("999ms"), false),
        ("ttl", json!("0.999999999s"), false),
        ("ttl", json!("315360000s"), true),
        ("ttl", json!("10y"), true),
        ("ttl", json!("315360000.001s"), false),
        ("ttl", json!("315360001s"), false),
    ];
    for (field, value, good) in table {
        let shown: String = value.to_string().chars().take(60).collect();
        match with(field, value) {
            Ok(_) => assert!(good, "{field} {shown}"),
            Err(error) => {
                assert!(!good, "{field} {shown}: {error}");
                assert!(
                    error.to_string().starts_with(field),
                    "{field} {shown}: {error}"
                );
            }
        }
    }
}

#[test]
fn metadata_counts_without_white_space() {
    let spaces = " ".repeat(limits::METADATA_BYTES);
    let command = parse(&format!(
        r#"{{"name":"n","actor_id":"a","metadata":{{{spaces}"a":1}}}}"#
    ));
    assert_eq!(command.expect("a command").metadata, r#"{"a":1}"#);
}

#[test]
fn lives() {
    let table = [
        ("1s", 1_000),
        ("1.5s", 1_500),
        ("86400s", 86_400_000),
        ("1h30m", 5_400_000),
        ("7d", 604_800_000),
        ("1y6mo", (365 + 180) * 86_400_000),
        ("0s", DEFAULT_TTL_MS),
        ("0", DEFAULT_TTL_MS),
        ("", DEFAULT_TTL_MS),
    ];
    for (ttl, wanted) in table {
        assert_eq!(
            with("ttl", json!(ttl)).expect("a command").ttl_ms,
            Some(wanted),
            "{ttl}"
        );
    }
    for ttl in [
        json!("-1s"),
        json!("1"),
        json!("1 s"),
        json!("s"),
        json!("1x"),
        json!(3600),
        json!({}),
    ] {
        assert!(message(with("ttl", ttl)).starts_with("ttl: "));
    }
}

#[test]
fn bad_values_name_their_place() {
    let table = [
        ("name", json!(5), "name: "),
        ("scopes", json!("read"), "scopes: "),
        ("scopes", json!(["a", 1]), "scopes[1]: "),
        ("scopes", json!(["a", null]), "scopes[1]: "),
        ("metadata", json!([1]), "metadata: "),
        ("metadata", json!("{}"), "metadata: "),
        ("visibility", json!("PUBLIC"), "visibility: "),
        ("visibility", json!(3), "visibility: "),
        ("visibility", json!("2"), "visibility: "),
        ("request_id", json!(7), "request_id: "),
        ("rate_limit_policy", json!([]), "rate_limit_policy: "),
        ("rate_limit_policy", json!({}), "rate_limit_policy.quota: "),
        (
            "rate_limit_policy",
            json!({"quota": "x", "window": "1s"}),
            "rate_limit_policy.quota: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1}),
            "rate_limit_policy.window: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1, "window": 60}),
            "rate_limit_policy.window: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1, "window": "0s"}),
            "rate_limit_policy.window: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1, "window": "1.5s"}),
            "rate_limit_policy.window: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1, "window": "500ms"}),
            "rate_limit_policy.window: ",
        ),
        (
            "rate_limit_policy",
            json!({"quota": 1, "window": "1s", "unit": "content-bytes"}),
            "rate_limit_policy.unit: ",
        ),
        ("ip_restriction", json!(["10.0.0.0/8"]), "ip_restriction: "),
        (
            "ip_restriction",
            json!({"allowed_cidrs": "10.0.0.0/8"}),
            "ip_restriction.allowed_cidrs: ",
        ),
        (
            "ip_restriction",
            json!({"allowed_cidrs": ["::/0", "x"]}),
            "ip_restriction.allowed_cidrs[1]: ",
        ),
        (
            "ip_restriction",
            json!({"allowed_cidrs": ["10.0.0.1"]}),
            "ip_restriction.allowed_cidrs[0]: ",
        ),
    ];
    for (field, value, start) in table {
        let text = message(with(field, value.clone()));
        assert!(text.starts_with(start), "{field} {value}: {text}");
    }
}

#[test]
fn the_secret_is_shown_once() {
    let record = full();
    let now = UnixMillis(1_700_000_000_000);
    let secret = Secret::new("ory_ak_v1_a_b".to_owned());
    let first: Value =
        serde_json::from_slice(&render_response(&record, Some(&secret), now)).expect("JSON");
    assert_eq!(first["secret"], "ory_ak_v1_a_b");
    assert_eq!(first["issued_api_key"]["status"], "KEY_STATUS_ACTIVE");
    let replay: Value = serde_json::from_slice(&render_response(&bare(), None, now)).expect("JSON");
    let names: Vec<_> = replay.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["issued_api_key"]);
}

#[test]
fn misspelt_restrictions_are_rejected_with_a_suggestion() {
    for (name, meant) in [
        ("ip_restrictions", "ip_restriction"),
        ("ip_restrction", "ip_restriction"),
        ("IP_RESTRICTION", "ip_restriction"),
        ("ip-restriction", "ip_restriction"),
        ("ipRestrictions", "ip_restriction"),
        ("ip", "ip_restriction"),
        ("\\u0069p_restrictions", "ip_restriction"),
        ("allowed_cidr", "ip_restriction.allowed_cidrs"),
        ("allowedCidrs", "ip_restriction.allowed_cidrs"),
        ("rate_limit", "rate_limit_policy"),
        ("rateLimitPolicys", "rate_limit_policy"),
        ("rate_limit_plicy", "rate_limit_policy"),
        ("expire", "ttl"),
        ("expires_at", "ttl"),
        ("expireTime", "ttl"),
        ("expiration", "ttl"),
        ("exp", "ttl"),
        ("TTL", "ttl"),
        ("ttl_seconds", "ttl"),
        ("tll", "ttl"),
        ("scope", "scopes"),
        ("scpoes", "scopes"),
        ("visiblity", "visibility"),
        ("visib", "visibility"),
    ] {
        for value in ["{}", "null", "\"1h\""] {
            let body = format!(r#"{{"name":"n","actor_id":"a","{name}":{value}}}"#);
            let error = parse_request(body.as_bytes(), TenantId::SINGLE, None).expect_err(name);
            assert_eq!(error.status(), 400, "{name}");
            let wanted = format!("did you mean {meant}?");
            assert!(error.to_string().ends_with(&wanted), "{name}: {error}");
        }
    }
}

#[test]
fn other_unknown_names_are_skipped() {
    for name in [
        "title",
        "tag",
        "tags",
        "url",
        "id",
        "key_id",
        "type",
        "status",
        "description",
        "labels",
        "create_time",
        "update_time",
        "last_used_time",
        "issuer",
        "secret",
        "permissions",
        "x",
        "",
        "@type",
        "tenant",
        "network_id",
        "revocation_reason",
        "rate_limit_remaining",
    ] {
        let body = format!(r#"{{"name":"n","actor_id":"a","{name}":[1]}}"#);
        assert!(
            parse_request(body.as_bytes(), TenantId::SINGLE, None).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn both_spellings_are_read() {
    let body = br#"{"name":"n","actorId":"a","rateLimitPolicy":{"quota":1,"window":"60s"},
        "ipRestriction":{"allowedCidrs":["10.0.0.0/8"]},"requestId":"r"}"#;
    let key = parse_request(body, TenantId::SINGLE, None).expect("a key");
    assert_eq!(key.actor_id, "a");
    assert_eq!(
        key.request_id.map(|request| request.id),
        Some("r".to_owned())
    );
    assert!(key.rate_limit.is_some());
    assert_eq!(key.allowed_cidrs.len(), 1);
    let both = br#"{"name":"n","actor_id":"a","actorId":"a"}"#;
    assert!(parse_request(both, TenantId::SINGLE, None).is_err());
}
