//! Issue, show, verify, revoke, show again; over a restart too.

use serde_json::{Value, json};
use talos_model::{CacheMode, Refusal};

use crate::harness::{Harness, ISSUED_KEYS, Setup};

fn every_field() -> Value {
    json!({
        "name": "My first key", "actor_id": "quickstart-user", "scopes": ["read:*", "write:*"], "ttl": "168h",
        "metadata": {"team": "payments", "n": [1, 2.5]},
        "rate_limit_policy": {"quota": 100, "window": "1m"},
        "ip_restriction": {"allowed_cidrs": ["127.0.0.1/8"]},
    })
}

#[test]
fn a_key_from_issue_to_revocation() {
    let harness = Harness::new();
    let issued = harness.call("POST", ISSUED_KEYS, &every_field().to_string());
    assert_eq!(issued.status, 201);
    assert_eq!(issued.header("Content-Type"), Some("application/json"));
    let key = &issued.body["issued_api_key"];
    let key_id = key["key_id"].as_str().expect("an id");
    let secret = issued.body["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("talos_v1_"), "{secret}");
    let created = key["create_time"].clone();
    let expires = key["expire_time"].clone();
    assert_eq!(
        *key,
        json!({
            "key_id": key_id, "name": "My first key", "actor_id": "quickstart-user", "scopes": ["read:*", "write:*"],
            "metadata": {"team": "payments", "n": [1, 2.5]}, "status": "KEY_STATUS_ACTIVE",
            "visibility": "KEY_VISIBILITY_SECRET", "create_time": created, "update_time": created,
            "expire_time": expires, "rate_limit_policy": {"quota": "100", "window": "60s", "unit": "requests"},
            "ip_restriction": {"allowed_cidrs": ["127.0.0.0/8"]},
        })
    );

    let shown = harness.get(key_id);
    assert_eq!((shown.status, &shown.body), (200, key));
    assert!(!shown.body.to_string().contains(secret));
    assert_eq!(
        harness.call("HEAD", &format!("{ISSUED_KEYS}/{key_id}"), ""),
        shown
    );

    let valid = harness.verify(secret, CacheMode::Use).expect("a valid key");
    assert_eq!(valid["is_valid"], true);
    assert_eq!(valid["key_id"], key_id);
    assert_eq!(valid["expire_time"], expires);

    let revoked = harness.revoke(key_id, r#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#);
    assert_eq!((revoked.status, revoked.body), (204, Value::Null));
    for cache in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
        assert_eq!(
            harness.verify(secret, cache),
            Err(Refusal::Revoked),
            "{cache:?}"
        );
    }
    let mut wanted = key.clone();
    let shown = harness.get(key_id).body;
    wanted["status"] = "KEY_STATUS_REVOKED".into();
    wanted["revocation_reason"] = "REVOCATION_REASON_SUPERSEDED".into();
    wanted["update_time"] = shown["update_time"].clone();
    wanted["last_used_time"] = shown["last_used_time"].clone();
    assert!(shown["last_used_time"].as_str() >= shown["create_time"].as_str());
    assert_eq!(shown, wanted);

    let harness = harness.restart();
    assert_eq!(harness.get(key_id).body, wanted);
    assert_eq!(
        harness.verify(secret, CacheMode::Use),
        Err(Refusal::Revoked)
    );
}

#[test]
fn no_cache_stores_an_answer_with_a_secret() {
    let harness = Harness::new();
    let body = every_field().to_string();
    let issued = harness.call("POST", ISSUED_KEYS, &body);
    let key_id = issued.body["issued_api_key"]["key_id"]
        .as_str()
        .expect("an id");
    let short = harness.call("POST", "/keys", &body);
    let macaroon = json!({"algorithm": "TOKEN_ALGORITHM_MACAROON", "ttl": "60s"});
    let derived = harness.call(
        "POST",
        &format!("/keys/{key_id}/derive"),
        &macaroon.to_string(),
    );
    let rotated = harness.call("POST", &format!("{ISSUED_KEYS}/{key_id}:rotate"), "{}");
    for (answer, has_secret) in [
        (&issued, issued.body["secret"].is_string()),
        (&short, short.body["key"].is_string()),
        (&rotated, rotated.body["secret"].is_string()),
        (&derived, derived.body["token"]["token"].is_string()),
    ] {
        assert!(has_secret, "{answer:?}");
        assert_eq!(
            answer.header("Cache-Control"),
            Some("no-store"),
            "{answer:?}"
        );
    }
}

#[test]
fn both_paths_revoke_with_every_reason() {
    let harness = Harness::new();
    let bodies = [
        ("", "REVOCATION_REASON_UNSPECIFIED"),
        (
            r#"{"reason":"REVOCATION_REASON_KEY_COMPROMISE"}"#,
            "REVOCATION_REASON_KEY_COMPROMISE",
        ),
        (
            r#"{"reason":"REVOCATION_REASON_AFFILIATION_CHANGED"}"#,
            "REVOCATION_REASON_AFFILIATION_CHANGED",
        ),
        (
            r#"{"reason":"REVOCATION_REASON_PRIVILEGE_WITHDRAWN"}"#,
            "REVOCATION_REASON_PRIVILEGE_WITHDRAWN",
        ),
    ];
    for path in [ISSUED_KEYS, "/v2alpha1/admin/apiKeys"] {
        for (body, reason) in bodies {
            let (key_id, secret) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
            assert_eq!(
                harness
                    .call("POST", &format!("{path}/{key_id}:revoke"), body)
                    .status,
                204
            );
            assert_eq!(harness.get(&key_id).body["revocation_reason"], reason);
            assert_eq!(
                harness.verify(&secret, CacheMode::Use),
                Err(Refusal::Revoked)
            );
        }
    }
}

#[test]
fn a_description_is_kept() {
    let harness = Harness::new();
    let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    let body =
        json!({"reason": "REVOCATION_REASON_PRIVILEGE_WITHDRAWN", "description": "left \"us\" 🔑"});
    assert_eq!(harness.revoke(&key_id, &body.to_string()).status, 204);
    let shown = harness.get(&key_id).body;
    assert_eq!(shown["revocation_description"], "left \"us\" 🔑");
}

#[test]
fn a_key_without_a_life_gets_the_default() {
    let millis = |body: &Value| {
        let time = |name: &str| body[name].as_str().expect("a time").to_owned();
        (time("create_time"), time("expire_time"))
    };
    let harness = Harness::new();
    let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a"}));
    // Without a default, the greatest age of 365 days ends it.
    let (created, expires) = millis(&harness.get(&key_id).body);
    assert_ne!(created[..10], expires[..10]);
    assert_eq!(created[10..], expires[10..]);

    let harness = Harness::with(Setup {
        default_ttl_ms: Some(86_400_000),
        ..Setup::default()
    });
    for ttl in [Value::Null, json!("0s"), json!("1d")] {
        let (key_id, _) = harness.issue(&json!({"name": "n", "actor_id": "a", "ttl": ttl}));
        let (created, expires) = millis(&harness.get(&key_id).body);
        // A day later at the same time of day.
        assert_ne!(created[..10], expires[..10]);
        assert_eq!(created[10..], expires[10..]);
    }
}

#[test]
fn public_keys_need_their_prefix() {
    let body = json!({"name": "n", "actor_id": "a", "visibility": "KEY_VISIBILITY_PUBLIC"});
    let refused = Harness::new().call("POST", ISSUED_KEYS, &body.to_string());
    let message = refused
        .error(400, "INVALID_ARGUMENT", "BAD_REQUEST")
        .to_owned();
    assert!(message.starts_with("visibility: "), "{message}");

    let harness = Harness::with(Setup {
        public_prefix: Some("talos_pub".to_owned()),
        ..Setup::default()
    });
    let (key_id, secret) = harness.issue(&body);
    assert!(secret.starts_with("talos_pub_v1_"), "{secret}");
    assert_eq!(
        harness.get(&key_id).body["visibility"],
        "KEY_VISIBILITY_PUBLIC"
    );
    assert_eq!(
        harness
            .verify(&secret, CacheMode::Use)
            .expect("a valid key")["visibility"],
        "KEY_VISIBILITY_PUBLIC"
    );
}

#[test]
fn the_largest_key_comes_back_whole() {
    let text = |chars: usize| "🔑".repeat(chars);
    let body = json!({
        "name": text(255), "actor_id": text(255), "scopes": vec![text(255); 100],
        "metadata": {"x": "m".repeat(64 * 1024 - 8)},
        "ip_restriction": {"allowed_cidrs": vec!["2001:db8::/32"; 100]}, "ttl": "8760h",
        "rate_limit_policy": {"quota": "9223372036854775807", "window": "315576000000s"},
    });
    let harness = Harness::new();
    let (key_id, secret) = harness.issue(&body);
    let harness = harness.restart();
    let shown = harness.get(&key_id).body;
    for field in ["name", "actor_id", "scopes", "metadata", "ip_restriction"] {
        assert_eq!(shown[field], body[field], "{field}");
    }
    assert_eq!(shown["rate_limit_policy"]["quota"], "9223372036854775807");
    assert_eq!(
        harness.verify(&secret, CacheMode::Use),
        Err(Refusal::IpNotAllowed)
    );
}
