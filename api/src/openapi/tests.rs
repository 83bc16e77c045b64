//! The document as a whole.

use std::collections::BTreeSet;

use talos_model::clock::UnixMillis;
use talos_model::{Refusal, Standing};

use super::*;
use crate::key::tests::full;

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
    let document = document("1.2.3");
    let described: BTreeSet<_> = operations(&document)
        .into_iter()
        .map(|(path, method, _)| (path.clone(), method.to_uppercase()))
        .collect();
    let routes: BTreeSet<_> = route::operations()
        .filter(|(_, method, _)| *method != "HEAD")
        .map(|(template, method, _)| (template.to_owned(), method.to_owned()))
        .collect();
    assert_eq!(described, routes);
    assert_eq!(document["info"]["version"], "1.2.3");
}

#[test]
fn every_operation_has_an_id_of_its_own_and_says_what_it_does() {
    let document = document("1");
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
fn every_operation_takes_and_names_a_position() {
    let document = document("1");
    for (path, method, operation) in operations(&document) {
        let parameters = operation["parameters"].as_array().expect("parameters");
        let demands = parameters
            .iter()
            .filter(|each| each["name"] == MIN_POSITION_HEADER && each["in"] == "header");
        assert_eq!(demands.count(), 1, "{method} {path}");
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
}

#[test]
fn references_lead_somewhere_and_every_schema_is_used() {
    let document = document("1");
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

#[test]
fn nothing_is_ever_null() {
    assert!(!document("1").to_string().contains("null"));
}

#[test]
fn every_field_is_explained() {
    let document = document("1");
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

/// A schema that a request and an answer share must have the same fields in both.
#[test]
fn shared_schemas_have_the_same_fields_in_requests_and_answers() {
    let mut schemas = Schemas::new();
    for (template, method, endpoint) in route::operations() {
        let operation = Operation::of(endpoint, method, template);
        describe(&operation, method, template, &mut schemas);
    }
    let shared = schemas.shared();
    let names: Vec<_> = shared.iter().map(|(name, ..)| *name).collect();
    assert_eq!(names, ["IPRestriction", "RateLimitPolicy"]);
    for (name, request, answer) in shared {
        let types = |schema: &Value| -> BTreeSet<(String, String)> {
            let properties = schema["properties"].as_object().expect("properties");
            let kind = |property: &Value| format!("{} {}", property["type"], property["format"]);
            properties
                .iter()
                .map(|(name, property)| (name.clone(), kind(property)))
                .collect()
        };
        assert_eq!(types(&request), types(&answer), "{name}");
    }
}

#[test]
fn answers_written_by_hand_are_as_described() {
    let document = document("1");
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
