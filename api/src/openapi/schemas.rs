//! The schemas of requests, made from their tables, and of answers, made from their types.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Body};
use super::server::Server;
use super::{forms, rules};
use crate::json::{Field, Kind, Object};

const COMPONENTS: &str = "#/components/schemas";

/// Collects the named schemas.
pub(super) struct Schemas<'a> {
    answers: SchemaGenerator,
    requests: BTreeMap<&'static str, Value>,
    server: &'a Server<'a>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(server: &'a Server<'a>) -> Self {
        let settings = SchemaSettings::draft2020_12()
            .for_serialize()
            .with(|settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.meta_schema = None;
            });
        Self {
            answers: settings.into_generator(),
            requests: BTreeMap::new(),
            server,
        }
    }

    /// The schema of an answer, or a reference to it.
    pub(super) fn answer(&mut self, answer: Answer) -> Value {
        let mut schema = answer(&mut self.answers).to_value();
        remove_null(&mut schema);
        schema
    }

    /// The schema of a request, or a reference to it.
    pub(super) fn body(&mut self, body: &Body) -> Value {
        match body {
            Body::Object(object) => self.object(object, false),
            Body::Resource(object, resource) => self.with_rest_of_resource(object, *resource),
        }
    }

    /// A reference to the schema of `object`, which is of a body, or else of a field that
    /// `may_be_null`. The choice is in the schema and not beside the reference: few tools read a
    /// reference with an alternative well.
    fn object(&mut self, object: &'static Object, may_be_null: bool) -> Value {
        if !self.requests.contains_key(object.name) {
            let mut schema = self.properties(object);
            if may_be_null {
                allow_null(&mut schema);
            }
            self.requests.insert(object.name, schema);
        }
        json!({ "$ref": format!("{COMPONENTS}/{}", object.name) })
    }

    fn properties(&mut self, object: &'static Object) -> Value {
        let properties = self.fields(object);
        schema_of(object, &properties)
    }

    fn fields(&mut self, object: &'static Object) -> Map<String, Value> {
        let fields = object.fields.iter();
        let property = |field: &Field| {
            let mut schema = self.field(field, rules::may_be_null(object, field));
            rules::constrain_field(&mut schema, object, field, self.server);
            (field.name.to_owned(), schema)
        };
        fields.map(property).collect()
    }

    /// The schema of a field. If it `may_be_null`, `null` means an absent field.
    fn field(&mut self, field: &Field, may_be_null: bool) -> Value {
        let least = usize::from(field.is_required);
        let mut schema = match field.kind {
            Kind::Text(chars_max) => {
                let mut schema = text(least, chars_max);
                forms::constrain(&mut schema, field.form, self.server.lifetime_max_s);
                schema
            }
            Kind::Texts {
                entries_max,
                chars_max,
            } => {
                let mut item = text(0, chars_max);
                forms::constrain(&mut item, field.form, self.server.lifetime_max_s);
                json!({ "type": "array", "maxItems": entries_max, "items": item })
            }
            // The exact values that a text may have are beyond a pattern: `1e2` is one, too.
            Kind::Int64 => json!({ "anyOf": [
                { "type": "string", "format": "int64", "pattern": "^[1-9][0-9]{0,17}$" },
                { "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX },
            ] }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Object(object) => self.object(object, may_be_null),
            Kind::Objects {
                of,
                entries_max,
                needs_one,
            } => {
                let mut item = self.object(of, false);
                if !needs_one {
                    let other = "Anything else is refused for itself, and the others are not.";
                    item = json!({ "anyOf": [item, { "description": other }] });
                }
                json!({
                    "type": "array",
                    "minItems": least,
                    "maxItems": entries_max,
                    "items": item,
                })
            }
            Kind::FreeObject => json!({ "type": "object" }),
            Kind::TextMap => json!({
                "type": "object",
                "minProperties": 1,
                "additionalProperties": { "type": "string" },
            }),
            Kind::Enumeration(names) => {
                let known = self.definition(names);
                let known = known.and_then(|schema| schema.get("enum")?.as_array());
                let numbers: Vec<usize> = (0..known.map_or(0, Vec::len)).collect();
                json!({ "anyOf": [
                    self.answer(names),
                    { "type": "integer", "enum": numbers },
                ] })
            }
        };
        if may_be_null && !matches!(field.kind, Kind::Object(_)) {
            allow_null(&mut schema);
        }
        put(&mut schema, "description", field.about.into());
        schema
    }

    /// The fields of `object`, and the other fields of the resource, which are read-only.
    fn with_rest_of_resource(&mut self, object: &'static Object, resource: Answer) -> Value {
        let mut properties = self.fields(object);
        for (name, mut property) in self.properties_of_answer(resource) {
            remove_null(&mut property);
            put(&mut property, "readOnly", true.into());
            properties.entry(name).or_insert(property);
        }
        schema_of(object, &properties)
    }

    /// The fields of a named answer.
    fn properties_of_answer(&mut self, answer: Answer) -> Map<String, Value> {
        let schema = self.definition(answer);
        let properties = schema.and_then(|schema| schema.get("properties")?.as_object().cloned());
        properties.unwrap_or_default()
    }

    /// The schema of a named answer.
    fn definition(&mut self, answer: Answer) -> Option<&Value> {
        let reference = answer(&mut self.answers);
        let path = reference.get("$ref")?.as_str()?;
        let (_, name) = path.rsplit_once('/')?;
        self.answers.definitions().get(name)
    }

    /// The names of requests that answers have, too.
    #[cfg(test)]
    pub(super) fn shared(&self) -> Vec<&'static str> {
        let answers = self.answers.definitions();
        let names = self.requests.keys().copied();
        names.filter(|name| answers.contains_key(*name)).collect()
    }

    /// All named schemas.
    pub(super) fn into_components(mut self) -> Value {
        let mut components = Value::Object(self.answers.take_definitions(true));
        remove_null(&mut components);
        for (name, schema) in self.requests {
            put(&mut components, name, schema);
        }
        components
    }
}

fn put(object: &mut Value, name: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

fn schema_of(object: &'static Object, properties: &Map<String, Value>) -> Value {
    let mut schema = json!({
        "type": "object",
        "description": object.about,
        "properties": properties,
    });
    let required = object.fields.iter().filter(|field| field.is_required);
    let required: Vec<&str> = required.map(|field| field.name).collect();
    if !required.is_empty() {
        put(&mut schema, "required", json!(required));
    }
    rules::constrain(&mut schema, object);
    schema
}

/// Lets a value be `null`, too.
fn allow_null(schema: &mut Value) {
    let null = json!({ "type": "null" });
    let Value::Object(members) = schema else {
        return;
    };
    if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
        choices.push(null);
    } else {
        if let Some(Value::Array(values)) = members.get_mut("enum") {
            values.push(Value::Null);
        }
        if let Some(kind) = members.get_mut("type") {
            *kind = json!([kind.take(), "null"]);
        }
    }
}

fn text(chars_min: usize, chars_max: Option<usize>) -> Value {
    let mut schema = json!({ "type": "string" });
    if chars_min > 0 {
        put(&mut schema, "minLength", chars_min.into());
    }
    if let Some(most) = chars_max {
        put(&mut schema, "maxLength", most.into());
    }
    schema
}

/// Removes `null` from the types. Answers leave absent fields out, and requests may omit them, too.
fn remove_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice != &json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    members.extend(only);
                }
            }
            members.values_mut().for_each(remove_null);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_null),
        _ => {}
    }
}
