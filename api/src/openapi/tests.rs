//! The document as a whole.

use std::collections::BTreeSet;

use talos_model::clock::UnixMillis;
use talos_model::{Refusal, Standing};

use super::*;
use crate::key::tests::full;

const SERVER: Server<'_> = Server {
    version: "1",
    lifetime_max_s: 365 * 86_400,
    issues_public_keys: false,
};

fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let methods = paths.iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods");
        methods
            .iter()
            .map(move |(method, operation)| (path, method, operation))
    });
    methods.collect()
}

/// Every reference in `value`.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_once() {
    let document = document(&SERVER);
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path.clone(), method.to_uppercase()))
        .collect();
    let routes: BTreeSet<_> = route::operations()
        .filter(|(_, method, _)| *method != "HEAD")
        .map(|(template, method, _)| (template.to_owned(), method.to_owned()))
        .collect();
    assert_eq!(described, routes);
    assert_eq!(document["info"]["version"], "1");
}

#[test]
fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
    let document = document(&SERVER);
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(!id.is_empty() && ids.insert(id), "{method} {path}: {id}");
        assert!(
            operation["summary"]
                .as_str()
                .is_some_and(|text| text.ends_with('.'))
        );
    }
}

#[test]
fn every_answer_names_a_position_and_a_request_may_demand_one() {
    let document = document(&SERVER);
    for (path, method, operation) in operations(&document) {
        for (status, answer) in operation["responses"].as_object().expect("responses") {
            for name in [POSITION_HEADER, "X-Request-Id"] {
                let header = &answer["headers"][name];
                assert_eq!(
                    header["schema"]["type"], "string",
                    "{method} {path} {status}"
                );
                assert!(header["description"].is_string());
            }
        }
    }
    let demanded = &document["components"]["parameters"]["MinPosition"];
    assert_eq!(demanded["name"], MIN_POSITION_HEADER);
    assert_eq!(demanded["in"], "header");
    assert!(demanded["schema"]["pattern"].is_string());
    let about = document["info"]["description"].as_str().expect("a text");
    assert!(about.contains("`Talos-Min-Position`"), "{about}");
}

#[test]
fn the_document_says_that_names_have_two_spellings() {
    let document = document(&SERVER);
    let about = document["info"]["description"].as_str().expect("a text");
    assert!(about.contains("lowerCamelCase"), "{about}");
    let mut parameters = 0;
    for (path, method, operation) in operations(&document) {
        for parameter in operation["parameters"].as_array().expect("parameters") {
            let name = parameter["name"].as_str().expect("a name");
            if parameter["in"] == "query" && name.contains('_') {
                let other = camel_case(name).expect("another spelling");
                let about = parameter["description"].as_str().expect("a text");
                assert!(
                    about.contains(&format!("`{other}`")),
                    "{method} {path} {name}"
                );
                parameters += 1;
            }
        }
    }
    assert!(parameters >= 6, "{parameters}");
}

/// Asserts that each alternative in `value` is a schema.
fn assert_alternatives(value: &Value) {
    match value {
        Value::Object(members) => {
            for word in ["anyOf", "allOf", "oneOf"] {
                let alternatives = members.get(word).and_then(Value::as_array);
                let alternatives = alternatives.into_iter().flatten();
                for alternative in alternatives {
                    assert!(alternative.is_object(), "{value}");
                }
            }
            members.values().for_each(assert_alternatives);
        }
        Value::Array(items) => items.iter().for_each(assert_alternatives),
        _ => {}
    }
}

#[test]
fn alternatives_are_schemas() {
    assert_alternatives(&document(&SERVER));
}

#[test]
fn references_lead_somewhere_and_every_schema_is_used() {
    let document = document(&SERVER);
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"]
        .as_object()
        .expect("schemas");
    let named: BTreeSet<_> = schemas
        .keys()
        .map(|name| format!("#/components/schemas/{name}"))
        .collect();
    assert_eq!(found, named.iter().map(String::as_str).collect());
}

/// `null` means an absent field in a request, and no answer has it.
#[test]
fn no_answer_has_null() {
    let document = document(&SERVER);
    let schemas = &document["components"]["schemas"];
    let mut waiting: BTreeSet<&str> = BTreeSet::new();
    for (_, _, operation) in operations(&document) {
        let responses = &operation["responses"];
        assert!(!responses.to_string().contains("null"), "{responses}");
        references(responses, &mut waiting);
    }
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop_first() {
        let name = path.rsplit('/').next().expect("a name");
        let schema = &schemas[name];
        assert!(!schema.to_string().contains("null"), "{name}");
        if seen.insert(path) {
            references(schema, &mut waiting);
        }
    }
    assert!(seen.len() > 20, "{seen:?}");
    assert!(schemas["IssueApiKeyRequest"].to_string().contains("null"));
}

#[test]
fn every_field_is_explained() {
    let document = document(&SERVER);
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .expect("schemas")
    {
        assert!(schema["description"].is_string(), "{name}");
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_explained = property["description"].is_string() || property["$ref"].is_string();
            assert!(
                is_explained || property["const"].is_string() || property["items"].is_object(),
                "{name}.{field}"
            );
        }
    }
}

/// Requests may have what answers do not have, such as `null`.
#[test]
fn no_schema_is_of_a_request_and_of_an_answer() {
    let mut schemas = Schemas::new(&SERVER);
    for (template, method, endpoint) in route::operations() {
        let operation = Operation::of(endpoint, method, template);
        describe(&operation, method, template, &mut schemas);
    }
    assert_eq!(schemas.shared(), Vec::<&str>::new());
}

#[test]
fn answers_written_by_hand_are_as_described() {
    let document = document(&SERVER);
    let schemas = &document["components"]["schemas"];
    let answer = &schemas["VerifyApiKeyResponse"];
    let valid: Value =
        serde_json::from_slice(&crate::verify::render_valid(&full(), "i")).expect("JSON");
    let refusals = [
        Refusal::InvalidFormat,
        Refusal::Expired,
        Refusal::Revoked,
        Refusal::NotFound,
        Refusal::SignatureInvalid,
        Refusal::Internal,
        Refusal::IpNotAllowed,
        Refusal::RateLimited,
        Refusal::AudienceMismatch,
        Refusal::AnswerTooLarge,
    ];
    let refused = refusals.map(|refusal| {
        serde_json::from_slice::<Value>(crate::verify::refused_body(refusal)).expect("JSON")
    });
    let quota = crate::quota_fields::QuotaFields::new(Standing {
        remaining: 1,
        reset_time: UnixMillis(0),
    });
    let limited: Value = serde_json::from_slice(
        &quota
            .within(br#"{"is_valid":true,"is_active":true}"#)
            .concat(),
    )
    .expect("JSON");
    for body in refused.iter().chain([&valid, &limited]) {
        for (name, value) in body.as_object().expect("an object") {
            assert!(answer["properties"][name].is_object(), "{name}");
            if name == "error_code" {
                let codes = schemas["VerificationErrorCode"]["enum"]
                    .as_array()
                    .expect("codes");
                assert!(codes.contains(value), "{value}");
            }
        }
        for required in answer["required"].as_array().expect("names") {
            assert!(
                body.get(required.as_str().expect("a name")).is_some(),
                "{required}"
            );
        }
    }
    let health: Value = serde_json::from_slice(crate::health::OK).expect("JSON");
    assert_eq!(
        health["status"],
        schemas["HealthResponse"]["properties"]["status"]["const"]
    );
    let key: Value = serde_json::from_slice(&crate::key::render(
        &full(),
        Some(UnixMillis(0)),
        UnixMillis(0),
    ))
    .expect("JSON");
    for name in key.as_object().expect("an object").keys() {
        assert!(
            schemas["IssuedApiKey"]["properties"][name].is_object(),
            "{name}"
        );
    }
}
