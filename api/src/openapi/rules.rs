//! The schemas of what holds between the fields of a request.

use serde_json::{Value, json};

use super::server::Server;
use crate::json::{EnumValue, Field, Object, Rule};

/// Whether `null` means that the field is absent.
pub(super) fn may_be_null(object: &Object, field: &Field) -> bool {
    let mut rules = object.rules.iter();
    let may_be_null = rules.all(|rule| match rule {
        Rule::Strict(exceptions) => exceptions.iter().any(|other| other.name == field.name),
        _ => true,
    });
    may_be_null && !field.is_required
}

/// Adds the rules of `object` about `field` alone to the schema of the field.
pub(super) fn constrain_field(
    schema: &mut Value,
    object: &Object,
    field: &Field,
    server: &Server<'_>,
) {
    for rule in object.rules {
        let (other, (name, number)) = match rule {
            Rule::Never(other, value) => (other, value),
            Rule::NeedsPublicPrefix(other, value) if !server.issues_public_keys => (other, value),
            _ => continue,
        };
        if other.name == field.name {
            put(schema, "not", json!({ "enum": [name, number] }));
        }
    }
}

/// Adds the other rules of `object` to its schema.
pub(super) fn constrain(schema: &mut Value, object: &Object) {
    let mut all: Vec<Value> = Vec::new();
    for rule in object.rules {
        match rule {
            Rule::Never(..) | Rule::NeedsPublicPrefix(..) => {}
            Rule::OneGroup(groups) => {
                for (index, group) in groups.iter().enumerate() {
                    let others = groups.iter().skip(index + 1);
                    all.extend(others.map(
                        |other| json!({ "not": { "allOf": [has_any(group), has_any(other)] } }),
                    ));
                }
            }
            Rule::OnlyWith(field, other, value) => all.push(only_with(field, other, *value)),
            Rule::AnyOf(fields) => {
                let one: Vec<Value> = fields.iter().map(is_there).collect();
                all.push(json!({ "anyOf": one }));
            }
            Rule::Strict(_) => {
                put(schema, "additionalProperties", json!(false));
            }
        }
    }
    if !all.is_empty() {
        put(schema, "allOf", all.into());
    }
}

/// One of the fields has a value.
fn has_any(fields: &[Field]) -> Value {
    let has = |field: &Field| json!({ "required": [field.name], "properties": { field.name: { "not": { "type": "null" } } } });
    match fields {
        [only] => has(only),
        _ => json!({ "anyOf": fields.iter().map(has).collect::<Vec<_>>() }),
    }
}

fn is_there(field: &Field) -> Value {
    json!({ "required": [field.name] })
}

/// The text of `field` is empty, unless `other` has this value.
fn only_with(field: &Field, other: &Field, (name, number): EnumValue) -> Value {
    json!({
        "if": { "required": [field.name], "properties": { field.name: { "type": "string", "minLength": 1 } } },
        "then": { "required": [other.name], "properties": { other.name: { "enum": [name, number] } } },
    })
}

fn put(schema: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = schema {
        members.insert(name.to_owned(), value);
    }
}
