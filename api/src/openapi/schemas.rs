//! The schemas of requests, made from their tables, and of answers, made from their types.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Body};
use crate::json::{Field, Kind, Object};

const COMPONENTS: &str = "#/components/schemas";

/// Collects the named schemas.
pub(super) struct Schemas {
    answers: SchemaGenerator,
    requests: BTreeMap<&'static str, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12()
            .for_serialize()
            .with(|settings| {
                settings.definitions_path = COMPONENTS.into();
                settings.meta_schema = None;
            });
        Self {
            answers: settings.into_generator(),
            requests: BTreeMap::new(),
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
            Body::Object(object) => self.object(object),
            Body::Resource(object, resource) => self.with_rest_of_resource(object, *resource),
        }
    }

    /// A reference to the schema of `object`.
    fn object(&mut self, object: &'static Object) -> Value {
        if !self.requests.contains_key(object.name) {
            let schema = self.properties(object);
            self.requests.insert(object.name, schema);
        }
        json!({ "$ref": format!("{COMPONENTS}/{}", object.name) })
    }

    fn properties(&mut self, object: &'static Object) -> Value {
        let properties: Map<String, Value> = object
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), self.field(field)))
            .collect();
        schema_of(object, &properties)
    }

    fn field(&mut self, field: &Field) -> Value {
        let least = usize::from(field.is_required);
        let mut schema = match field.kind {
            Kind::Text(chars_max) => text(least, chars_max),
            Kind::Texts {
                entries_max,
                chars_max,
            } => json!({
                "type": "array",
                "maxItems": entries_max,
                "items": text(1, chars_max),
            }),
            Kind::Int64 => json!({
                "type": "string",
                "format": "int64",
                "pattern": "^-?[0-9]{1,19}$",
            }),
            Kind::Boolean => json!({ "type": "boolean" }),
            Kind::Object(object) => self.object(object),
            Kind::Objects { of, entries_max } => json!({
                "type": "array",
                "minItems": least,
                "maxItems": entries_max,
                "items": self.object(of),
            }),
            Kind::FreeObject => json!({ "type": "object" }),
            Kind::Enumeration(schema) => self.answer(schema),
        };
        put(&mut schema, "description", field.about.into());
        schema
    }

    /// The fields of `object`, and the other fields of the resource, which are read-only.
    fn with_rest_of_resource(&mut self, object: &'static Object, resource: Answer) -> Value {
        let mut properties: Map<String, Value> = object
            .fields
            .iter()
            .map(|field| (field.name.to_owned(), self.field(field)))
            .collect();
        for (name, mut property) in self.properties_of_answer(resource) {
            put(&mut property, "readOnly", true.into());
            properties.entry(name).or_insert(property);
        }
        let mut schema = schema_of(object, &properties);
        remove_null(&mut schema);
        schema
    }

    /// The fields of a named answer.
    fn properties_of_answer(&mut self, answer: Answer) -> Map<String, Value> {
        let reference = answer(&mut self.answers);
        let path = reference.get("$ref").and_then(Value::as_str);
        path.and_then(|path| path.rsplit_once('/'))
            .and_then(|(_, name)| self.answers.definitions().get(name))
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    }

    /// The schemas that requests and answers share: the name, the schema of the request, and that
    /// of the answer.
    #[cfg(test)]
    pub(super) fn shared(mut self) -> Vec<(&'static str, Value, Value)> {
        let mut answers = Value::Object(self.answers.take_definitions(true));
        remove_null(&mut answers);
        let requests = self.requests.into_iter();
        requests
            .filter_map(|(name, request)| Some((name, request, answers.get(name)?.clone())))
            .collect()
    }

    /// All named schemas. Where a request and an answer share one, the request decides which fields
    /// are required.
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
    schema
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
