//! What requests for admin tokens may hold, and what answers show.

use serde_json::{Value, json};
use talos_model::Sequence;
use talos_model::clock::UnixMillis;

use super::*;

const TENANT_ID: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

fn created(body: &Value) -> Result<CreateAdminToken, String> {
    let created = parse_create(body.to_string().as_bytes());
    created
        .map(|token| token.command(TokenDigest([9; 32])))
        .map_err(|error| {
            assert_eq!(error.status(), 400, "{body}");
            error.to_string()
        })
}

#[test]
fn every_field_is_read() {
    let body = json!({"name": "ci", "role": "write", "ttl": "90d", "tenant": TENANT_ID});
    let command = created(&body).expect("a command");
    assert_eq!(command.name, "ci");
    assert_eq!(command.role, Role::Write);
    assert_eq!(command.ttl_ms, Some(90 * 24 * 3600 * 1000));
    assert_eq!(
        command.tenant.map(|id| id.to_string()).as_deref(),
        Some(TENANT_ID)
    );
    assert_eq!(command.digest, TokenDigest([9; 32]));
    let body = json!({"name": "n", "role": "verify", "ttl": null, "tenant": "", "other": 1});
    let command = created(&body).expect("a command");
    assert_eq!((command.ttl_ms, command.tenant), (None, None));
    for role in Role::ALL {
        let command = created(&json!({"name": "n", "role": role.name()}));
        assert_eq!(command.expect("a command").role, role);
    }
}

#[test]
fn what_is_not_meant_is_refused() {
    let long = "é".repeat(limits::NAME_CHARS + 1);
    for (body, start) in [
        (json!({"role": "read"}), "name: is required"),
        (json!({"name": "", "role": "read"}), "name: is required"),
        (
            json!({"name": long, "role": "read"}),
            "name: must have at most",
        ),
        (
            json!({"name": "a\nb", "role": "read"}),
            "name: must not have control",
        ),
        (
            json!({"name": "a\u{9b}b", "role": "read"}),
            "name: must not have control",
        ),
        (
            json!({"name": TENANT_ID, "role": "read"}),
            "name: must not be a UUID",
        ),
        (
            json!({"name": "n"}),
            "role: is required and must be one of verify, read, write, operate, admin",
        ),
        (json!({"name": "n", "role": null}), "role: is required"),
        (
            json!({"name": "n", "role": "root"}),
            "role: must be one of verify, read,",
        ),
        (
            json!({"name": "n", "role": "Admin"}),
            "role: must be one of",
        ),
        (json!({"name": "n", "role": "read", "ttl": "soon"}), "ttl: "),
        (
            json!({"name": "n", "role": "read", "ttl": "11y"}),
            "ttl: must be between",
        ),
        (
            json!({"name": "n", "role": "read", "tenant": "x"}),
            "tenant: must be the id of a tenant",
        ),
    ] {
        let message = created(&body).expect_err("a refusal");
        assert!(message.starts_with(start), "{body}: {message}");
    }
    let name = "é".repeat(limits::NAME_CHARS);
    assert!(created(&json!({"name": name, "role": "read"})).is_ok());
}

#[test]
fn a_misspelt_restriction_is_refused() {
    for (name, meant) in [
        ("roles", "role"),
        ("tll", "ttl"),
        ("expire_time", "ttl"),
        ("expiry", "ttl"),
        ("tenants", "tenant"),
        ("tenant_id", "tenant"),
        ("network_id", "tenant"),
    ] {
        let mut body = json!({"name": "n", "role": "read"});
        body[name] = json!("x");
        let message = created(&body).expect_err("a refusal");
        assert!(
            message.ends_with(&format!("did you mean {meant}?")),
            "{name}: {message}"
        );
    }
    let error = parse_rotate(br#"{"expires":"1h"}"#).expect_err("a refusal");
    assert!(error.to_string().ends_with("did you mean ttl?"), "{error}");
}

#[test]
fn a_rotation_has_a_lifetime_or_keeps_the_end() {
    for body in ["", "{}", r#"{"ttl":""}"#, r#"{"ttl":null}"#] {
        assert_eq!(parse_rotate(body.as_bytes()), Ok(None), "{body}");
    }
    assert_eq!(parse_rotate(br#"{"ttl":"1h"}"#), Ok(Some(3_600_000)));
    let error = parse_rotate(br#"{"ttl":"1ms"}"#).expect_err("a refusal");
    assert!(error.to_string().starts_with("ttl: "), "{error}");
}

#[test]
fn a_token_without_limits_has_a_name_that_requests_may_use() {
    assert!(NewAdminToken::unlimited("host".to_owned(), Role::Admin).is_ok());
    for name in ["", "a\tb", TENANT_ID, &"x".repeat(limits::NAME_CHARS + 1)] {
        let refused = NewAdminToken::unlimited(name.to_owned(), Role::Admin);
        let message = refused.expect_err("a refusal").to_string();
        assert!(message.starts_with("name: "), "{message}");
    }
}

fn token() -> AdminToken {
    AdminToken {
        id: Uuid::from_u128(7),
        name: "ci".to_owned(),
        digest: TokenDigest([0xab; 32]),
        role: Role::Read,
        tenant: None,
        create_time: UnixMillis(0),
        rotate_time: UnixMillis(1),
        expire_time: None,
        sequence: Sequence(3),
    }
}

#[test]
fn answers_show_the_token_and_never_its_digest() {
    let bare = r#"{"id":"00000000-0000-0000-0000-000000000007","name":"ci","role":"read","create_time":"1970-01-01T00:00:00Z","rotate_time":"1970-01-01T00:00:00.001Z"}"#;
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    assert_eq!(text(render(&token())), bare);
    let full = AdminToken {
        tenant: Some(TenantId::SINGLE),
        expire_time: Some(UnixMillis(2)),
        ..token()
    };
    let shown: Value = serde_json::from_slice(&render(&full)).expect("JSON");
    assert_eq!(shown["tenant"], TenantId::SINGLE.to_string());
    assert_eq!(shown["expire_time"], "1970-01-01T00:00:00.002Z");
    assert_eq!(
        text(render_list(&[token(), token()])),
        format!(r#"{{"tokens":[{bare},{bare}]}}"#)
    );
    assert_eq!(text(render_list(&[])), r#"{"tokens":[]}"#);
    let secret = Secret::new("talos_admin_x".to_owned());
    assert_eq!(
        text(render_with_secret(&token(), &secret)),
        format!(r#"{{"token":{bare},"secret":"talos_admin_x"}}"#)
    );
}
