//! What makes two requests the same.

use talos_model::RequestField;

use super::*;

/// The first field in which two requests of one id differ.
fn difference(
    one: &Value,
    other: &Value,
    default_ttl_ms: [Option<u64>; 2],
) -> Option<&'static str> {
    let digest = |body: &Value, default_ttl_ms| {
        let body = body.to_string();
        let key = parse_request(body.as_bytes(), TenantId::SINGLE, default_ttl_ms);
        key.expect("a key").request_id.expect("an id").digest
    };
    let [one, other] = [
        digest(one, default_ttl_ms[0]),
        digest(other, default_ttl_ms[1]),
    ];
    one.difference(&other).map(RequestField::name)
}

#[test]
fn the_digest_of_a_request_is_of_its_meaning() {
    let ask = |more: Value| {
        let mut body = json!({"name": "n", "actor_id": "a", "request_id": "r"});
        let members = body.as_object_mut().expect("an object");
        members.extend(more.as_object().expect("an object").clone());
        body
    };
    let policy = |quota: Value, window: &str| json!({"rate_limit_policy": {"quota": quota, "window": window, "unit": "requests"}});
    let cidrs = |blocks: Value| json!({"ip_restriction": {"allowed_cidrs": blocks}});
    let same = [
        [json!({"ttl": "1h"}), json!({"ttl": "3600s"})],
        [json!({"ttl": "0s"}), json!({})],
        [json!({"scopes": []}), json!({"scopes": null})],
        [json!({"scopes": ["a", "b"]}), json!({"scopes": ["b", "a"]})],
        [json!({"metadata": {}}), json!({})],
        [
            json!({"metadata": {"a": 1, "b": 2}}),
            json!({"metadata": {"b": 2.0, "a": 1}}),
        ],
        [json!({"visibility": "KEY_VISIBILITY_SECRET"}), json!({})],
        [
            json!({"visibility": "KEY_VISIBILITY_SECRET"}),
            json!({"visibility": 1}),
        ],
        [policy(json!(100), "60s"), policy(json!("1e2"), "1m")],
        [
            policy(json!(100), "60s"),
            json!({"rateLimitPolicy": {"quota": 100.0, "window": "60s"}}),
        ],
        [
            cidrs(json!(["10.1.2.3/8"])),
            json!({"ipRestriction": {"allowedCidrs": ["10.0.0.0/8"]}}),
        ],
        [json!({"unknown": 1}), json!({})],
    ];
    for [one, other] in same {
        let (one, other) = (ask(one), ask(other));
        assert_eq!(difference(&one, &other, [None; 2]), None, "{one} {other}");
    }
    for (one, other, field) in [
        (json!({}), json!({"name": "m"}), "name"),
        (json!({}), json!({"actor_id": "b"}), "actor_id"),
        (json!({"scopes": ["a"]}), json!({"scopes": ["b"]}), "scopes"),
        (
            json!({"metadata": {"a": 1}}),
            json!({"metadata": {"a": 2}}),
            "metadata",
        ),
        (
            json!({}),
            json!({"visibility": "KEY_VISIBILITY_PUBLIC"}),
            "visibility",
        ),
        (json!({"ttl": "1h"}), json!({"ttl": "61m"}), "ttl"),
        (json!({"ttl": "1h"}), json!({}), "ttl"),
        (
            policy(json!(5), "60s"),
            policy(json!(6), "60s"),
            "rate_limit_policy",
        ),
        (
            cidrs(json!(["10.0.0.0/8"])),
            cidrs(json!(["10.0.0.0/9"])),
            "ip_restriction",
        ),
    ] {
        let (one, other) = (ask(one), ask(other));
        assert_eq!(
            difference(&one, &other, [None; 2]),
            Some(field),
            "{one} {other}"
        );
    }
    // The default of the server may change between two requests.
    let (plain, hour) = (ask(json!({})), ask(json!({"ttl": "1h"})));
    let defaults = [Some(60_000), Some(3_600_000)];
    assert_eq!(difference(&plain, &plain, defaults), None);
    assert_eq!(difference(&hour, &hour, defaults), None);
    assert_eq!(difference(&plain, &hour, [Some(3_600_000); 2]), Some("ttl"));
}
