//! As much of JSON Schema (draft 2020-12) as the schema of the configuration uses. It panics at any
//! other keyword, so that none is skipped.

use regex::Regex;
use serde_json::Value;

/// Keywords that describe and do not restrict.
const ANNOTATIONS: [&str; 8] = [
    "$schema",
    "title",
    "description",
    "default",
    "examples",
    "writeOnly",
    "format",
    "$comment",
];

/// The first fault of `value`: where it is, and the keyword that refuses it.
pub fn fault(schema: &Value, value: &Value, place: &str) -> Option<String> {
    let schema = match schema {
        Value::Bool(true) => return None,
        Value::Object(schema) => schema,
        other => panic!("no schema: {other}"),
    };
    for (keyword, wanted) in schema {
        let keyword = keyword.as_str();
        let is_kept = match keyword {
            "type" => types(wanted).any(|kind| has_type(value, kind)),
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => number(value).is_none_or(|is| is >= wanted.as_f64().unwrap()),
            "maximum" => number(value).is_none_or(|is| is <= wanted.as_f64().unwrap()),
            "minLength" => length(value).is_none_or(|is| is >= wanted.as_u64().unwrap()),
            "maxLength" => length(value).is_none_or(|is| is <= wanted.as_u64().unwrap()),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= wanted.as_u64().unwrap()),
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().unwrap()).expect("a regular expression");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => value.as_object().is_none_or(|fields| {
                let names = wanted.as_array().unwrap();
                names
                    .iter()
                    .all(|name| fields.contains_key(name.as_str().unwrap()))
            }),
            "anyOf" => count(wanted, value, place) > 0,
            "oneOf" => count(wanted, value, place) == 1,
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    let found = fault(wanted, item, &format!("{place}/{index}"));
                    if found.is_some() {
                        return found;
                    }
                }
                true
            }
            "properties" => {
                for (name, property) in wanted.as_object().unwrap() {
                    let found = value
                        .get(name)
                        .and_then(|value| fault(property, value, &format!("{place}/{name}")));
                    if found.is_some() {
                        return found;
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(wanted, &Value::Bool(false));
                let known = |name: &String| {
                    let patterns = schema.get("patternProperties").and_then(Value::as_object);
                    let mut patterns = patterns.into_iter().flatten();
                    schema["properties"].get(name).is_some()
                        || patterns.any(|(pattern, _)| Regex::new(pattern).unwrap().is_match(name))
                };
                value
                    .as_object()
                    .is_none_or(|fields| fields.keys().all(known))
            }
            // Only `true` is used.
            "patternProperties" => true,
            other => {
                assert!(ANNOTATIONS.contains(&other), "unknown keyword {other}");
                true
            }
        };
        if !is_kept {
            return Some(format!("{place}: {keyword}"));
        }
    }
    None
}

fn count(schemas: &Value, value: &Value, place: &str) -> usize {
    let schemas = schemas.as_array().unwrap().iter();
    schemas
        .filter(|schema| fault(schema, value, place).is_none())
        .count()
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let many = wanted.as_array().into_iter().flatten();
    many.chain(wanted.is_string().then_some(wanted))
        .filter_map(Value::as_str)
}

fn has_type(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("unknown type {other}"),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn length(value: &Value) -> Option<u64> {
    Some(value.as_str()?.chars().count() as u64)
}
