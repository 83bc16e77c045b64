//! The `OpenAPI` document of the server, version 3.1. It repeats no description: paths and methods
//! come from the routes, requests from the tables that read them, answers from the types that write
//! them.
//!
//! The document leaves out `HEAD`, which every route with `GET` has (RFC 9110 §9.3.2).

mod answers;
mod forms;
mod operation;
mod rules;
mod schemas;
mod server;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use crate::admin_token;
use crate::control::CONTENT_TYPE;
use crate::error::envelope::Envelope;
use crate::fleet::{MIN_POSITION_HEADER, POSITION_HEADER};
use crate::form::Form;
use crate::json::camel_case;
use crate::query::{Parameter, ParameterKind};
use crate::route::{self, Target};
use operation::{NO_CONTENT, Operation};
use schemas::Schemas;

pub use server::Server;

/// The tag of all operations. Client generators name their class after it.
const TAG: &str = "ApiKeys";

/// The security scheme of a credential in the `Authorization` header.
const BEARER: &str = "bearer";
/// The security scheme of an admin token in a header of its own.
const ADMIN_TOKEN: &str = "adminToken";

/// What holds for all operations.
const ABOUT: &str = "\
API keys: issue, import, verify, derive, rotate and revoke them.

The names of fields in bodies, of the fields in an update mask and of query parameters have two spellings, which mean the \
same: snake_case, as here, and lowerCamelCase (`ipRestriction` for `ip_restriction`). A request that has both spellings of \
one name is refused with 400. Answers are in snake_case. Other names are ignored, unless a schema or an error says otherwise.

Every request may have the header `Talos-Min-Position` (see the parameter `MinPosition` of the components): its answer takes \
account of all changes up to that position, or is 503.";

/// The header that every request may have. A node that has not reached the position answers 503, so
/// the header is described once and is no parameter of the operations: a value that is made up
/// tests nothing.
const MIN_POSITION: Parameter = Parameter::text(
    MIN_POSITION_HEADER,
    "EPOCH.SEQUENCE, as in `Talos-Position`: the answer takes account of all changes up to this position, or is 503.",
)
.form(Form::Position);
/// The headers of every answer, with their descriptions.
const ANSWER_HEADERS: [(&str, &str); 2] = [
    (
        POSITION_HEADER,
        "EPOCH.SEQUENCE: a request that demands it of any node gets nothing older than this answer.",
    ),
    (
        "X-Request-Id",
        "The id of the request in the logs: its own, or one that the server made.",
    ),
];

/// The document of a server.
#[must_use]
pub fn render(server: &Server<'_>) -> Vec<u8> {
    document(server).to_string().into_bytes()
}

/// The id of a route's operation in the document.
#[must_use]
pub fn operation_id(target: Target, method: &str, template: &str) -> &'static str {
    Operation::of(target, method, template).id
}

fn document(server: &Server<'_>) -> Value {
    let mut schemas = Schemas::new(server);
    let mut paths = Map::new();
    for (template, method, target) in route::operations() {
        if method == "HEAD" {
            continue;
        }
        let operation = Operation::of(target, method, template);
        let described = describe(&operation, method, template, &mut schemas);
        let methods = paths.entry(template).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(method.to_ascii_lowercase(), described);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Talos",
            "description": ABOUT,
            "version": server.version,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": [{ "name": TAG }],
        "paths": paths,
        "components": {
            "parameters": { "MinPosition": parameter(&MIN_POSITION, "header") },
            "schemas": schemas.into_components(),
            "securitySchemes": {
                BEARER: { "type": "http", "scheme": "bearer" },
                ADMIN_TOKEN: { "type": "apiKey", "in": "header", "name": admin_token::HEADER },
            },
        },
    })
}

fn describe(
    operation: &Operation,
    method: &str,
    template: &'static str,
    schemas: &mut Schemas<'_>,
) -> Value {
    let mut described = Map::new();
    let mut put = |name: &str, value: Value| described.insert(name.to_owned(), value);
    put("operationId", operation.id.into());
    put("summary", operation.about.into());
    put("tags", json!([TAG]));
    let mut parameters = Vec::new();
    if let Some(name) = route::parameter(template) {
        let about = match name {
            "token_id" => "The id of the admin token.",
            _ => "The id of the key.",
        };
        parameters.push(json!({
            "name": name,
            "in": "path",
            "required": true,
            "description": about,
            "schema": { "type": "string" },
        }));
    }
    let query = operation.query.iter().map(|each| parameter(each, "query"));
    parameters.extend(query);
    let headers = operation.headers.iter();
    parameters.extend(headers.map(|each| parameter(each, "header")));
    put("parameters", Value::Array(parameters));
    match (operation.is_authorized, operation.needs_principal) {
        // The credential is what the route is about, and no condition of using it: an invalid one
        // gets an ordinary answer, and a missing one 401.
        (true, false) => drop(put("security", json!([{}, { BEARER: [] }]))),
        // The credential that is verified is in `Authorization`, so an admin token is elsewhere.
        (true, true) => drop(put(
            "security",
            json!([{}, { BEARER: [] }, { BEARER: [], ADMIN_TOKEN: [] }]),
        )),
        // A server without authentication of administrators asks for nothing.
        (false, true) => drop(put(
            "security",
            json!([{}, { BEARER: [] }, { ADMIN_TOKEN: [] }]),
        )),
        (false, false) => {}
    }
    // HTTP gives a body of GET or DELETE no meaning (RFC 9110 §9.3.1, §9.3.5), and few clients send
    // one.
    let may_have_body = !matches!(method, "GET" | "DELETE");
    if let Some(body) = operation.body.as_ref().filter(|_| may_have_body) {
        let content = content(CONTENT_TYPE, &schemas.body(body));
        put(
            "requestBody",
            json!({ "required": body.is_required(), "content": content }),
        );
    }
    let mut success = Map::new();
    success.insert("description".to_owned(), "Success.".into());
    success.insert("headers".to_owned(), answer_headers());
    if operation.status != NO_CONTENT {
        let schema = schemas.answer(operation.answer);
        success.insert("content".to_owned(), content(operation.media, &schema));
    }
    let error = content(
        CONTENT_TYPE,
        &schemas.answer(SchemaGenerator::subschema_for::<Envelope<'_>>),
    );
    put(
        "responses",
        json!({
            operation.status.to_string(): success,
            "default": {
                "description": "Failure.",
                "headers": answer_headers(),
                "content": error,
            },
        }),
    );
    Value::Object(described)
}

fn answer_headers() -> Value {
    let headers = ANSWER_HEADERS.map(|(name, about)| {
        let header = json!({ "description": about, "schema": { "type": "string" } });
        (name.to_owned(), header)
    });
    Value::Object(Map::from_iter(headers))
}

fn content(media: &str, schema: &Value) -> Value {
    json!({ media: { "schema": schema } })
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let mut text = json!({ "type": "string" });
    // No parameter is a lifetime.
    forms::constrain(&mut text, parameter.form, 0);
    let schema = match parameter.kind {
        ParameterKind::Text => text,
        ParameterKind::Int32 { min, max } => {
            json!({ "type": "integer", "format": "int32", "minimum": min, "maximum": max })
        }
        ParameterKind::Boolean => json!({ "type": "boolean" }),
        ParameterKind::Texts => json!({ "type": "array", "items": text }),
    };
    let about = match camel_case(parameter.name) {
        Some(other) if place == "query" => format!("{} Also called `{other}`.", parameter.about),
        _ => parameter.about.to_owned(),
    };
    json!({
        "name": parameter.name,
        "in": place,
        "description": about,
        "schema": schema,
    })
}

#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;
