//! The JSON Schema (draft 2020-12) of the configuration file, for editors. It allows what the
//! server accepts in its usual spelling, and refuses unknown keys.

use serde_json::{Map, Value, json};
use talos_model::Role;

use crate::key::{Key, Reload, Sensitivity};
use crate::keys::KEYS;
use crate::kind::Kind;
use crate::mapping::Fields;
use crate::scalar::{SECRET_CHARACTERS_MIN, TEXT_CHARACTERS_MAX};
use crate::section::find_section;

/// One or more numbers, each with its unit.
const DURATION: &str = r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h|d|w|mo|y)";
/// A whole number with an optional unit.
const SIZE: &str = r"^[0-9]+( ?([KkMmGgTt][Ii]?)?[Bb])?$";
/// An IP address or `localhost`.
const HOST: &str =
    r"^([Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|[0-9.]+|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$";
/// An absolute URL of one of the schemes.
const DATA_DIRECTORY: &str = "^(rocksdb|sqlite3?)://.";
const SIGNING_KEYS: &str = "^(base64|file|https)://.";

/// The schema of the configuration file.
#[must_use]
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Talos",
        "description": "The file that `talos serve --config` reads.",
        "type": ["object", "null"],
        "properties": properties(""),
        "patternProperties": { "^x-": true },
        "additionalProperties": false,
    })
}

/// The schemas of what is in the mapping `group`; empty = of the whole file.
fn properties(group: &str) -> Map<String, Value> {
    let start = if group.is_empty() { "" } else { "." };
    let mut properties = Map::new();
    for key in KEYS {
        let rest = key.path.strip_prefix(group);
        let Some(rest) = rest.and_then(|rest| rest.strip_prefix(start)) else {
            continue;
        };
        let name = rest.split('.').next().unwrap_or_default();
        if properties.contains_key(name) {
            continue;
        }
        let schema = if name == rest {
            of_key(key)
        } else {
            of_section(&format!("{group}{start}{name}"))
        };
        properties.insert(name.to_owned(), schema);
    }
    properties
}

fn of_section(path: &str) -> Value {
    json!({
        "description": find_section(path).map_or("", |section| section.about),
        "type": ["object", "null"],
        "properties": properties(path),
        "additionalProperties": false,
    })
}

/// The schema of a value, described. Every key may be null, which means that it is not set.
fn of_key(key: &Key) -> Value {
    let reload = match key.reload {
        Reload::Live => "",
        Reload::Restart => "\n\nA change takes effect at the next start.",
    };
    let description = format!(
        "{}\n\nAllowed: {}.\n\nEnvironment variable: {}{reload}",
        key.about,
        key.allowed(),
        key.variable(),
    );
    let schema = with(of_kind(key.kind), "description", json!(description));
    let schema = match key.default_value() {
        Value::Null => schema,
        default => with(schema, "default", default),
    };
    match key.sensitivity {
        Sensitivity::Public => with(schema, "examples", json!([key.example_value()])),
        Sensitivity::Secret => with(schema, "writeOnly", Value::Bool(true)),
    }
}

/// The schema with one more keyword, or with another value of it.
fn with(mut schema: Value, keyword: &str, value: Value) -> Value {
    if let Some(keywords) = schema.as_object_mut() {
        keywords.insert(keyword.to_owned(), value);
    }
    schema
}

fn of_kind(kind: Kind) -> Value {
    match kind {
        Kind::Integer { min, max, .. } => {
            json!({"type": ["integer", "null"], "minimum": min, "maximum": max})
        }
        Kind::PowerOfTwo { max, .. } => {
            let powers = (0..u64::BITS).map(|bit| 1_u64 << bit);
            let powers = powers.take_while(|power| *power <= max).map(Value::from);
            json!({"enum": powers.chain([Value::Null]).collect::<Vec<_>>()})
        }
        Kind::Fraction { .. } => json!({"type": ["number", "null"], "minimum": 0, "maximum": 1}),
        Kind::Duration { min, .. } if min.is_zero() => json!({
            "type": ["string", "integer", "null"],
            "pattern": format!("^(0|({DURATION})+)$"),
            "minimum": 0,
            "maximum": 0,
        }),
        Kind::Duration { .. } => {
            json!({"type": ["string", "null"], "pattern": format!("^({DURATION})+$")})
        }
        Kind::DurationOrNone { .. } => json!({
            "type": ["string", "integer", "null"],
            "pattern": format!("^(0|-[0-9]+|-?({DURATION})+)$"),
            "maximum": 0,
        }),
        Kind::Bytes { min, max, .. } => json!({
            "type": ["string", "integer", "null"],
            "pattern": SIZE,
            "minimum": min,
            "maximum": max,
        }),
        Kind::Boolean { .. } => json!({"type": ["boolean", "null"]}),
        Kind::Choice(choices) => {
            let names = choices.iter().map(|(name, _)| Value::from(*name));
            json!({"enum": names.chain([Value::Null]).collect::<Vec<_>>()})
        }
        Kind::Fixed { value, .. } => {
            let value = value
                .parse()
                .map_or_else(|_| Value::from(value), Value::Bool);
            json!({"enum": [value, null]})
        }
        Kind::Host { .. } => json!({"type": ["string", "null"], "pattern": HOST}),
        Kind::Text { .. } => nullable(text()),
        Kind::OptionalText { .. } => {
            json!({"type": ["string", "number", "null"], "maxLength": TEXT_CHARACTERS_MAX})
        }
        Kind::Custom { .. } => json!({"type": ["string", "null"]}),
        Kind::Prefix { characters_max, .. } => nullable(prefix(characters_max)),
        Kind::Secret { .. } => nullable(secret()),
        Kind::DataDirectory { .. } => {
            json!({"type": ["string", "null"], "pattern": DATA_DIRECTORY})
        }
        Kind::Prefixes { characters_max, .. } => list(&prefix(characters_max)),
        Kind::List { .. } => list(&json!({"type": "string"})),
        Kind::Secrets { .. } => list(&secret()),
        Kind::SigningKeys { .. } => list(&json!({"type": "string", "pattern": SIGNING_KEYS})),
        Kind::RetiredIssuers { .. } => list(&may_expire(&text())),
        Kind::RetiredSecrets { .. } => list(&may_expire(&secret())),
        Kind::Mappings { fields, .. } => match fields.items_max {
            None => list(&mapping(fields)),
            Some(max) => with(list(&mapping(fields)), "maxItems", json!(max)),
        },
    }
}

/// A text. The file may write one that looks like a number without quotes.
fn text() -> Value {
    json!({"type": ["string", "number"], "minLength": 1, "maxLength": TEXT_CHARACTERS_MAX})
}

fn prefix(characters_max: usize) -> Value {
    json!({
        "type": ["string", "integer"],
        "pattern": format!("^[A-Za-z0-9_]{{1,{characters_max}}}$"),
    })
}

/// A secret. The file may write one of digits without quotes.
fn secret() -> Value {
    json!({"type": ["string", "number"], "minLength": SECRET_CHARACTERS_MIN})
}

fn list(item: &Value) -> Value {
    json!({"type": ["array", "null"], "items": item})
}

/// The item itself, or a mapping of the item and the time until which it is accepted.
fn may_expire(item: &Value) -> Value {
    json!({
        "anyOf": [
            item,
            {
                "type": "object",
                "properties": {
                    "value": item,
                    "expires_at": {"type": ["string", "null"], "format": "date-time"},
                },
                "required": ["value"],
                "additionalProperties": false,
            },
        ],
    })
}

fn mapping(fields: Fields) -> Value {
    let property = |name: &&str| {
        let schema = match *name {
            "role" => json!({"enum": Role::ALL.map(Role::name)}),
            _ => json!({"type": ["string", "number", "null"]}),
        };
        ((*name).to_owned(), schema)
    };
    let properties: Map<String, Value> = fields.names.iter().map(property).collect();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": fields.required,
        "additionalProperties": false,
    });
    if fields.one_of.is_empty() {
        return schema;
    }
    let one_of = fields.one_of.iter().map(|name| json!({"required": [name]}));
    with(schema, "oneOf", one_of.collect())
}

/// The schema of a value that may be null as well.
fn nullable(schema: Value) -> Value {
    let types = schema.get("type").and_then(Value::as_array);
    let types = types.into_iter().flatten().cloned();
    let types = types.chain([Value::from("null")]).collect();
    with(schema, "type", types)
}
