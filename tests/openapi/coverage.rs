//! What one `OpenAPI` document contains and another lacks.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The published document of API version v2alpha1, reduced to the parts that are compared.
pub fn reference() -> Value {
    serde_json::from_str(include_str!("reference.json")).unwrap()
}

/// A path without the names of its parameters, of which the published document has several for one
/// path.
fn shape(path: &str) -> String {
    let mut shape = String::new();
    let mut inside = false;
    for letter in path.chars() {
        inside = (inside || letter == '{') && letter != '}';
        if !inside {
            shape.push(if letter == '}' { '*' } else { letter });
        }
    }
    shape
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Two documents, and what the second lacks.
struct Comparison<'a> {
    reference: &'a Value,
    ours: &'a Value,
    missing: Vec<String>,
}

impl<'a> Comparison<'a> {
    fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.missing.push(what());
        }
    }

    fn resolve(document: &'a Value, schemas: &str, schema: &'a Value) -> &'a Value {
        match schema["$ref"]
            .as_str()
            .and_then(|path| path.rsplit_once('/'))
        {
            Some((_, name)) => document
                .pointer(schemas)
                .map_or(&Value::Null, |all| &all[name]),
            None => schema,
        }
    }

    /// Every type, format, enum value and field of the schema `theirs` must be in `ours`.
    fn schema(&mut self, place: &str, theirs: &'a Value, ours: &'a Value) {
        let theirs = Self::resolve(self.reference, "/schemas", theirs);
        let ours = Self::resolve(self.ours, "/components/schemas", ours);
        for word in ["type", "format"] {
            let is_same = theirs[word].is_null() || theirs[word] == ours[word];
            self.expect(is_same, || format!("{place}: {word} {}", theirs[word]));
        }
        for name in theirs["enum"].as_array().into_iter().flatten() {
            let has = ours["enum"]
                .as_array()
                .is_some_and(|names| names.contains(name));
            self.expect(has, || format!("{place}: {name}"));
        }
        for (name, property) in members(&theirs["properties"]) {
            let place = format!("{place}.{name}");
            match ours["properties"].get(name) {
                Some(our_property) => self.schema(&place, property, our_property),
                None => self.missing.push(place),
            }
        }
        if let Some(items) = theirs.get("items") {
            self.schema(&format!("{place}[]"), items, &ours["items"]);
        }
    }

    fn operation(&mut self, place: &str, theirs: &'a Value, ours: &'a Value) {
        self.expect(theirs["operationId"] == ours["operationId"], || {
            format!("{place}: operationId {}", theirs["operationId"])
        });
        for parameter in theirs["parameters"].as_array().into_iter().flatten() {
            let (name, kind) = (parameter["name"].as_str().unwrap(), &parameter["in"]);
            let place = format!("{place}: {kind} parameter {name}");
            // The published document names a path parameter after the field of a body that has the
            // value elsewhere.
            let short = name.rsplit('.').next().unwrap();
            let ours = ours["parameters"].as_array().into_iter().flatten();
            let same = ours
                .into_iter()
                .find(|ours| ours["name"] == short && &ours["in"] == kind);
            match same {
                Some(same) => self.schema(&place, &parameter["schema"], &same["schema"]),
                None => self.missing.push(place),
            }
        }
        let json = |value: &'a Value| &value["content"]["application/json"]["schema"];
        if let Some(body) = theirs.get("requestBody") {
            self.schema(
                &format!("{place}: request"),
                body,
                json(&ours["requestBody"]),
            );
        }
        let success = members(&ours["responses"]).find(|(status, _)| status.starts_with('2'));
        let (status, success) = success.expect("a success");
        match theirs.get("response") {
            Some(response) => self.schema(&format!("{place}: answer"), response, json(success)),
            None => self.expect(status == "204" && success.get("content").is_none(), || {
                format!("{place}: 204 without a body")
            }),
        }
        // The status is inside the error envelope.
        let envelope = Self::resolve(
            self.ours,
            "/components/schemas",
            json(&ours["responses"]["default"]),
        );
        self.schema(
            &format!("{place}: error"),
            &theirs["error"],
            &envelope["properties"]["error"],
        );
    }
}

/// Everything in `reference` that `ours` lacks.
pub fn missing(reference: &Value, ours: &Value) -> Vec<String> {
    let mut comparison = Comparison {
        reference,
        ours,
        missing: Vec::new(),
    };
    for (path, methods) in members(&reference["paths"]) {
        let same = members(&ours["paths"]).find(|(our_path, _)| shape(our_path) == shape(path));
        for (method, operation) in members(methods) {
            let place = format!("{method} {path}");
            match same.and_then(|(_, methods)| methods.get(method)) {
                Some(our_operation) => comparison.operation(&place, operation, our_operation),
                None => comparison.missing.push(place),
            }
        }
    }
    for (name, schema) in members(&reference["schemas"]) {
        match ours["components"]["schemas"].get(name) {
            Some(our_schema) => comparison.schema(name, schema, our_schema),
            None => comparison.missing.push(name.clone()),
        }
    }
    comparison.missing
}

/// Everything in `ours` that `reference` lacks: operations, schemas and their fields.
pub fn additions(reference: &Value, ours: &Value) -> Vec<String> {
    let operations = |document: &Value| -> BTreeSet<String> {
        let operations = members(&document["paths"]).flat_map(|(path, methods)| {
            members(methods).map(move |(method, _)| format!("{method} {}", shape(path)))
        });
        operations.collect()
    };
    let fields = |schemas: &Value| -> BTreeSet<String> {
        let fields = members(schemas).flat_map(|(name, schema)| {
            let properties =
                members(&schema["properties"]).map(move |(field, _)| format!("{name}.{field}"));
            properties.chain([name.clone()])
        });
        fields.collect()
    };
    let added = |ours: BTreeSet<String>, theirs: BTreeSet<String>| {
        let added: Vec<_> = ours
            .difference(&theirs)
            .map(|what| format!("added: {what}"))
            .collect();
        added
    };
    let mut all = added(operations(ours), operations(reference));
    all.extend(added(
        fields(&ours["components"]["schemas"]),
        fields(&reference["schemas"]),
    ));
    all
}

/// A document with exactly the contents of the reference.
fn like_the_reference() -> Value {
    let reference = reference();
    let content = |schema: &Value| json!({"content": {"application/json": {"schema": schema}}});
    let mut paths = Map::new();
    for (path, methods) in members(&reference["paths"]) {
        let path = path
            .replace("issued_api_key.", "")
            .replace("imported_api_key.", "");
        let our_methods = paths.entry(path).or_insert_with(|| json!({}));
        for (method, operation) in members(methods) {
            let error = json!({"properties": {"error": operation["error"]}});
            let mut responses = json!({"default": content(&error)});
            match operation.get("response") {
                Some(response) => responses["200"] = content(response),
                None => responses["204"] = json!({}),
            }
            let mut ours = json!({
                "operationId": operation["operationId"],
                "responses": responses,
            });
            if let Some(body) = operation.get("requestBody") {
                ours["requestBody"] = content(body);
            }
            if let Some(Value::Array(parameters)) = operation.get("parameters") {
                ours["parameters"] = parameters.iter().map(with_short_name).collect();
            }
            our_methods[method] = ours;
        }
    }
    json!({"paths": paths, "components": {"schemas": reference["schemas"]}})
}

fn with_short_name(parameter: &Value) -> Value {
    let mut parameter = parameter.clone();
    let name = parameter["name"].as_str().unwrap();
    let short = name.rsplit('.').next().unwrap().to_owned();
    parameter["name"] = short.into();
    parameter
}

/// Every place in `value` that can be removed or changed, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let child = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => members
            .iter()
            .for_each(|(key, value)| places(value, &child(key), found)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| places(value, &child(&index.to_string()), found)),
        _ => found.push(at.to_owned()),
    }
}

/// The comparison notices every single difference between a document and the reference.
#[test]
fn every_difference_is_noticed() {
    let (reference, ours) = (reference(), like_the_reference());
    assert_eq!(missing(&reference, &ours), Vec::<String>::new());
    let mut all = Vec::new();
    places(&ours, "", &mut all);
    // Our document may make a required field optional, and open objects stay open.
    let is_compared =
        |place: &&String| !place.contains("/required") && !place.ends_with("/additionalProperties");
    let compared: Vec<_> = all.iter().filter(is_compared).collect();
    let mut with_body = ours.clone();
    let delete = "/paths/~1v2alpha1~1admin~1importedApiKeys~1{key_id}/delete/responses";
    let responses = with_body.pointer_mut(delete).unwrap();
    responses["200"] = responses.as_object_mut().unwrap().remove("204").unwrap();
    assert_eq!(missing(&reference, &with_body).len(), 1);
    assert!(compared.len() > 250, "{}", compared.len());
    for place in compared {
        let mut altered = ours.clone();
        *altered.pointer_mut(place).unwrap() = "something else".into();
        assert!(!missing(&reference, &altered).is_empty(), "{place}");
    }
}
