//! The server reads every field of a request that its document names, with the documented type, and
//! enforces the documented limits.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};

use super::{document, resolve};
use crate::harness::site::Site;

/// An operation with a body: method, path and schema.
pub fn operations_with_bodies(document: &Value) -> Vec<(String, String, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(body) = operation.get("requestBody") {
                let schema = &body["content"]["application/json"]["schema"];
                found.push((
                    method.to_uppercase(),
                    path.clone(),
                    resolve(document, schema),
                ));
            }
        }
    }
    found
}

/// The schema of the values that are meant: not `null`, and no numbers of enums.
pub fn meant<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match &schema["anyOf"][0] {
        Value::Null => resolve(document, schema),
        first => meant(document, first),
    }
}

/// The first type of a schema.
pub fn kind(schema: &Value) -> &str {
    let kind = schema["type"].as_str();
    kind.or_else(|| schema["type"][0].as_str()).unwrap()
}

/// A value that the schema allows, with its required fields only.
fn example(document: &Value, schema: &Value) -> Value {
    let schema = meant(document, schema);
    match kind(schema) {
        "string" if schema["enum"].is_array() => {
            schema["enum"].as_array().unwrap().last().unwrap().clone()
        }
        "boolean" => json!(false),
        "string" if schema["format"] == "int64" => json!("1"),
        "string" => json!("60s"),
        "array" => json!([example(document, &schema["items"])]),
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten();
            required
                .map(|name| name.as_str().unwrap())
                .map(|name| {
                    (
                        name.to_owned(),
                        example(document, &schema["properties"][name]),
                    )
                })
                .collect()
        }
        other => panic!("no example of {other}"),
    }
}

/// Values of types that the schema does not allow.
fn wrong_types(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = meant(document, schema);
    let all = [
        json!(true),
        json!("text"),
        json!(1.5),
        json!([[]]),
        json!({"a": 1}),
    ];
    let is_right = |value: &Value| match kind(schema) {
        "string" => value.is_string() && schema["enum"].is_null() && schema["format"].is_null(),
        "array" => false,
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        other => panic!("{other}"),
    };
    all.into_iter().filter(|value| !is_right(value)).collect()
}

/// The smallest value beyond each limit of the schema.
fn beyond_limits(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = meant(document, schema);
    let mut beyond = Vec::new();
    let length = |word: &str| {
        schema[word]
            .as_u64()
            .map(|most| usize::try_from(most).unwrap())
    };
    if let Some(most) = length("maxLength") {
        beyond.push(json!("x".repeat(most + 1)));
    }
    if length("minLength").is_some_and(|least| least > 0) {
        beyond.push(json!(""));
    }
    if kind(schema) == "array" {
        let item = example(document, &schema["items"]);
        if let Some(most) = length("maxItems") {
            beyond.push(json!(vec![item; most + 1]));
        }
        if length("minItems").is_some_and(|least| least > 0) {
            beyond.push(json!([]));
        }
        beyond.extend(
            beyond_limits(document, &schema["items"])
                .into_iter()
                .map(|item| json!([item])),
        );
    }
    beyond
}

fn call(connection: &mut Connection, method: &str, path: &str, body: &Value) -> Answer {
    connection.call(
        method,
        path,
        &[
            ("Content-Type", "application/json"),
            ("Authorization", "Bearer x"),
        ],
        body.to_string().as_bytes(),
    )
}

struct Probe<'a> {
    document: &'a Value,
    connection: Connection,
    method: &'a str,
    path: &'a str,
    fields: usize,
}

impl Probe<'_> {
    /// Sends `wrong` at `place`, a JSON pointer into the body, and expects a refusal that names the
    /// field.
    fn expect_refusal(&mut self, body: &Value, place: &str, field: &str, wrong: &Value) {
        let mut body = body.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap();
        parent[name] = wrong.clone();
        let answer = call(&mut self.connection, self.method, self.path, &body);
        let shown: String = wrong.to_string().chars().take(40).collect();
        let what = format!(
            "{} {} {place} = {shown}: {answer:?}",
            self.method, self.path
        );
        let answered = answer.json();
        // A batch is answered although one of its requests is refused.
        let result = &answered["results"][0];
        let message = if self.path.ends_with(":batchVerify") && answer.status == 200 {
            assert_eq!(result["is_valid"], false, "{what}");
            &result["error_message"]
        } else {
            assert_eq!(answer.status, 400, "{what}");
            &answered["error"]["message"]
        };
        assert!(message.as_str().unwrap().contains(field), "{what}");
    }

    /// Tries every field of the object at `place`, and the fields inside them.
    fn object(&mut self, body: &Value, place: &str, schema: &Value) {
        let schema = resolve(self.document, schema);
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["readOnly"] == true {
                continue;
            }
            self.fields += 1;
            let at = format!("{place}/{name}");
            let mut values = wrong_types(self.document, property);
            values.extend(beyond_limits(self.document, property));
            for wrong in values {
                self.expect_refusal(body, &at, name, &wrong);
            }
            let inner = meant(self.document, property);
            let mut with_field = body.clone();
            let parent = with_field.pointer_mut(place).unwrap();
            if inner["properties"].is_object() {
                parent[name] = example(self.document, inner);
                self.object(&with_field, &at, inner);
            } else if meant(self.document, &inner["items"])["properties"].is_object() {
                let item = meant(self.document, &inner["items"]);
                parent[name] = json!([example(self.document, item)]);
                self.object(&with_field, &format!("{at}/0"), item);
            }
        }
    }
}

both_drivers! {
    fn every_documented_field_is_read_with_its_type_and_limits(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let document = document(&mut connection);
        let mut fields = 0;
        for (method, path, schema) in operations_with_bodies(&document) {
            let key_id = if path.contains("importedApiKeys/") {
                "ab".repeat(32)
            } else {
                "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b".to_owned()
            };
            let path = path.replace("{key_id}", &key_id).replace("{token_id}", &key_id);
            let mut probe = Probe { document: &document, connection: server.connect(), method: &method, path: &path, fields: 0 };
            probe.object(&example(&document, schema), "", schema);
            fields += probe.fields;
        }
        assert!(fields > 60, "{fields}");
        server.stop();
    }
}
