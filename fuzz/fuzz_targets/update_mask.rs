//! Updates: the mask decides which fields change, the body holds their values, and a wrapped body
//! means the same.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use talos_api::update::parse_request;
use talos_fuzz::escaped;
use talos_model::FieldChanges;

const PATHS: [&str; 5] = [
    "name",
    "scopes",
    "metadata",
    "rate_limit_policy",
    "ip_restriction",
];

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw_body: &'a [u8],
    raw_query: &'a str,
    raw_mask: &'a str,
    mask: Option<Vec<u8>>,
    name: Option<&'a str>,
    scopes: Option<Vec<&'a str>>,
    metadata: Option<Vec<(&'a str, i64)>>,
    quota: Option<u32>,
    blocks: Option<Vec<u32>>,
}

fuzz_target!(|input: Input<'_>| {
    // These need only be accepted or rejected without a panic.
    let _ = parse_request(input.raw_body, input.raw_query).map_err(refused);
    let body = body(&input);
    let text = Value::Object(body.clone()).to_string();
    let by_any_mask = format!("update_mask={}", escaped(input.raw_mask));
    let mask = listed(input.raw_mask);
    let mask = mask.as_deref();
    if let Ok(changes) = parse_request(text.as_bytes(), &by_any_mask).map_err(refused) {
        changes_are(&changes, &body, mask);
    } else {
        let known = mask.is_none_or(|mask| mask.iter().all(|path| PATHS.contains(path)));
        assert!(
            !known || !is_valid(&body) || names_nothing(&body, mask),
            "{text} {mask:?}"
        );
    }

    let mask = input.mask.as_ref().map(|mask| {
        let paths = mask.iter().map(|n| PATHS[usize::from(*n) % PATHS.len()]);
        paths.collect::<Vec<_>>().join(",")
    });
    let query = mask
        .as_deref()
        .map_or(String::new(), |mask| format!("update_mask={mask}"));
    let read = parse_request(text.as_bytes(), &query).map_err(refused);
    let paths = mask.as_deref().and_then(listed);
    match &read {
        Ok(changes) => changes_are(changes, &body, paths.as_deref()),
        Err(()) => assert!(
            !is_valid(&body) || names_nothing(&body, paths.as_deref()),
            "{text} {query}"
        ),
    }
    for wrapper in ["issued_api_key", "imported_api_key"] {
        let wrapped = json!({ wrapper: body, "name": "elsewhere" }).to_string();
        let wrapped = parse_request(wrapped.as_bytes(), &query).map_err(refused);
        assert_eq!(format!("{wrapped:?}"), format!("{read:?}"), "{text}");
    }
});

/// Checks that an error is a 400.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: talos_api::error::ApiError) {
    assert_eq!(error.status(), 400, "{error}");
}

fn body(input: &Input<'_>) -> Map<String, Value> {
    let mut body = Map::new();
    let mut put =
        |name: &str, value: Option<Value>| body.extend(value.map(|value| (name.to_owned(), value)));
    put("name", input.name.map(Value::from));
    put("scopes", input.scopes.clone().map(Value::from));
    let metadata = |pairs: &Vec<(&str, i64)>| {
        let members = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        Value::Object(members.collect())
    };
    put("metadata", input.metadata.as_ref().map(metadata));
    put(
        "rate_limit_policy",
        input
            .quota
            .map(|quota| json!({"quota": quota, "window": "60s"})),
    );
    let block = |bits: &u32| Value::from(format!("{}/32", std::net::Ipv4Addr::from_bits(*bits)));
    let blocks = input
        .blocks
        .as_ref()
        .map(|blocks| blocks.iter().map(block).collect::<Value>());
    put(
        "ip_restriction",
        blocks.map(|blocks| json!({ "allowed_cidrs": blocks })),
    );
    body
}

/// Whether every value of the body is within the limits.
fn is_valid(body: &Map<String, Value>) -> bool {
    let texts = |value: &Value, most: usize, chars: usize| {
        value.as_array().is_some_and(|items| {
            let fits = |item: &Value| {
                item.as_str()
                    .is_some_and(|text| (1..=chars).contains(&text.chars().count()))
            };
            items.len() <= most && items.iter().all(fits)
        })
    };
    body.iter().all(|(name, value)| match name.as_str() {
        "name" => value
            .as_str()
            .is_some_and(|name| name.chars().count() <= 255),
        "scopes" => texts(value, 100, 255),
        "metadata" => value.to_string().len() <= 64 << 10,
        "rate_limit_policy" => value["quota"] != 0,
        _ => texts(&value["allowed_cidrs"], 100, 255),
    })
}

/// A name cannot be cleared.
fn names_nothing(body: &Map<String, Value>, mask: Option<&[&str]>) -> bool {
    mask.is_some_and(|mask| mask.contains(&"name"))
        && body.get("name").is_none_or(|name| name == "")
}

/// The paths of the mask. `None` for an empty mask, which counts as absent.
fn listed(mask: &str) -> Option<Vec<&str>> {
    (!mask.is_empty()).then(|| mask.split(',').map(str::trim).collect())
}

fn changes_are(changes: &FieldChanges, body: &Map<String, Value>, mask: Option<&[&str]>) {
    let is_listed = |name: &&str| match mask {
        Some(mask) => mask.contains(name),
        None => body
            .get(*name)
            .is_some_and(|value| *value != json!("") && *value != json!([])),
    };
    let expected: Vec<&str> = PATHS.into_iter().filter(is_listed).collect();
    let set = [
        changes.name.is_some(),
        changes.scopes.is_some(),
        changes.metadata.is_some(),
        changes.rate_limit.is_some(),
        changes.allowed_cidrs.is_some(),
    ];
    let found: Vec<&str> = PATHS
        .into_iter()
        .zip(set)
        .filter(|(_, set)| *set)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(found, expected, "{body:?} {mask:?}");

    let value = |name: &str| body.get(name).cloned().unwrap_or(Value::Null);
    if let Some(name) = &changes.name {
        assert_eq!(*name, value("name"));
    }
    if let Some(scopes) = &changes.scopes {
        let given = value("scopes");
        assert_eq!(
            json!(scopes),
            if given.is_null() { json!([]) } else { given }
        );
    }
    if let Some(metadata) = &changes.metadata {
        let read = match metadata.as_str() {
            "" => json!({}),
            text => serde_json::from_str(text).expect("JSON"),
        };
        let given = value("metadata");
        assert_eq!(read, if given.is_null() { json!({}) } else { given });
    }
    if let Some(policy) = changes.rate_limit {
        let read = policy.map_or(
            Value::Null,
            |policy| json!({"quota": policy.quota, "window": format!("{}s", policy.window_s)}),
        );
        assert_eq!(read, value("rate_limit_policy"));
    }
    if let Some(blocks) = &changes.allowed_cidrs {
        let blocks: Value = blocks.iter().map(ToString::to_string).collect();
        let given = value("ip_restriction")["allowed_cidrs"].clone();
        assert_eq!(blocks, if given.is_null() { json!([]) } else { given });
    }
}
