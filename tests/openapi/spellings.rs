//! Two servers get the same requests, one in `snake_case` and one in lowerCamelCase, and answer the
//! same. The requests are made from the document and have every field. Random requests are read in
//! both spellings by a unit test beside the document, `api/src/openapi/spellings.rs`.

use serde_json::{Map, Value, json};
use talos_test_kit::http::Connection;

use super::document;
use super::requests::{kind, meant, operations_with_bodies};
use crate::harness::site::Site;

/// Fields that go with others only, or instead of others.
const LEFT_OUT: [&str; 4] = [
    "permissions",
    "issued_api_key",
    "imported_api_key",
    "description",
];
/// What differs between two answers.
const VARIES: [&str; 14] = [
    "key_id",
    "token_id",
    "id",
    "key",
    "secret",
    "token",
    "create_time",
    "update_time",
    "expire_time",
    "rotate_time",
    "rule_id",
    "position",
    "jti",
    "akid",
];

/// A value that the schema of the field `name` allows, with all fields.
fn full(document: &Value, schema: &Value, name: &str) -> Value {
    let schema = meant(document, schema);
    let names = schema["enum"].as_array();
    match kind(schema) {
        "string" if names.is_some() => {
            let names = names.unwrap();
            let is_unset = |value: &&Value| !value.to_string().contains("UNSPECIFIED");
            names.iter().find(is_unset).unwrap().clone()
        }
        "string" if schema["format"] == "int64" => json!("5"),
        "string" if schema["format"] == "date-time" => json!("2000-01-01T00:00:00Z"),
        "string" => match name {
            "ttl" | "window" => json!("60s"),
            "allowed_cidrs" => json!("127.0.0.0/8"),
            "tenant" | "request_id" => json!(""),
            _ if schema["maxLength"] == 0 => json!(""),
            _ => json!(format!("the {name}").chars().take(16).collect::<String>()),
        },
        "boolean" => json!(true),
        "array" => json!([full(document, &schema["items"], name)]),
        "object" => {
            let Some(properties) = schema["properties"].as_object() else {
                return json!({"snake_case": "camelCase", "camelCase": "snake_case"});
            };
            let wanted = properties.iter().filter(|(name, property)| {
                property["readOnly"] != true && !LEFT_OUT.contains(&name.as_str())
            });
            wanted
                .map(|(name, property)| (name.clone(), full(document, property, name)))
                .collect()
        }
        other => panic!("{name}: {other}"),
    }
}

/// The name in lowerCamelCase.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| {
        let (letter, rest) = word.split_at(1);
        name + &letter.to_uppercase() + rest
    })
}

/// `value` with its names in lowerCamelCase, but for those that the client chooses.
fn respelt(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| {
                let is_free = matches!(name.as_str(), "metadata" | "custom_claims");
                let value = if is_free {
                    value.clone()
                } else {
                    respelt(value)
                };
                (camel_case(name), value)
            });
            Value::Object(members.collect())
        }
        Value::Array(items) => items.iter().map(respelt).collect(),
        other => other.clone(),
    }
}

/// `value` without what differs between two answers.
fn steady(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, value)| !VARIES.contains(&name.as_str()) || value.is_object());
            let kept = kept.map(|(name, value)| (name.clone(), steady(value)));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(steady).collect(),
        other => other.clone(),
    }
}

/// Sends every request and returns the answers. `spell` gives names their spelling.
fn answers(
    connection: &mut Connection,
    document: &Value,
    spell: impl Fn(&Value) -> Value,
) -> Vec<(String, u16, Value)> {
    let name = |name: &str| {
        let spelt = spell(&json!({ name: 1 }));
        spelt.as_object().unwrap().keys().next().unwrap().clone()
    };
    let mut found = Vec::new();
    for (method, path, schema) in operations_with_bodies(document) {
        let key = spell(&json!({"name": "n", "actor_id": "a"}));
        let key = connection
            .post("/v2alpha1/admin/issuedApiKeys", &key)
            .json();
        let key_id = key["issued_api_key"]["key_id"].as_str().unwrap();
        let body = spell(&full(document, schema, ""));
        let mut target = path
            .replace("{key_id}", key_id)
            .replace("{token_id}", key_id);
        if method == "PATCH" {
            let mask = [name("ip_restriction"), name("rate_limit_policy")].join(",");
            target = format!("{target}?{}={mask}", name("update_mask"));
        }
        let headers = [
            ("Authorization", "Bearer x"),
            ("Content-Type", "application/json"),
        ];
        let answer = connection.call(&method, &target, &headers, body.to_string().as_bytes());
        let json = if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        };
        found.push((format!("{method} {path}"), answer.status, json));
    }
    let list = format!("/v2alpha1/admin/issuedApiKeys?{}=1", name("page_size"));
    let first = connection.call("GET", &list, &[], b"").json();
    let token = first["next_page_token"].as_str().unwrap();
    let next = connection.call(
        "GET",
        &format!("{list}&{}={token}", name("page_token")),
        &[],
        b"",
    );
    let keys = next.json()["issued_api_keys"]
        .as_array()
        .map_or(0, Vec::len);
    assert_ne!(
        next.json()["issued_api_keys"][0],
        first["issued_api_keys"][0]
    );
    found.push((list, next.status, json!(keys)));
    found
}

both_drivers! {
    fn both_spellings_are_answered_alike(driver: Driver) {
        let (mut snake, mut camel) = (Site::new(driver), Site::new(driver));
        let (snake, camel) = (snake.start(), camel.start());
        let document = document(&mut snake.connect());
        let wanted = answers(&mut snake.connect(), &document, Value::clone);
        let found = answers(&mut camel.connect(), &document, respelt);
        let mut accepted = 0;
        for ((about, status, body), (_, other_status, other_body)) in wanted.iter().zip(&found) {
            if !about.starts_with("GET") {
                assert_eq!((status, steady(body)), (other_status, steady(other_body)), "{about}");
            }
            accepted += usize::from(*status < 300);
        }
        // Some need what was not made before, such as a credential.
        assert!(accepted >= 10, "{accepted}: {wanted:#?}");
        for status in [400, 415] {
            assert!(!wanted.iter().any(|(about, it, _)| *it == status && !about.contains(":selfRevoke")), "{wanted:#?}");
        }
        let issued = wanted.iter().find(|(about, ..)| about.ends_with(" /v2alpha1/admin/issuedApiKeys"));
        let issued = &issued.unwrap().2["issued_api_key"];
        assert!(issued["ip_restriction"].is_object() && issued["rate_limit_policy"].is_object(), "{issued}");
        snake.stop();
        camel.stop();
    }
}
