//! Schemas of answers whose bodies no single type writes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::names::Named;
use crate::refusal::VerificationErrorCode;
use crate::verify::Accepted;

/// The answer of `:verify`: the body of an accepted or of a refused credential. Only the fields
/// that both have are required.
pub(crate) enum VerifyApiKeyResponse {}

impl JsonSchema for VerifyApiKeyResponse {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("VerifyApiKeyResponse")
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Accepted::json_schema(generator);
        let error_code = generator.subschema_for::<Named<VerificationErrorCode>>();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.insert("error_code".to_owned(), error_code.to_value());
            let error_message = "Why the credential is refused, for people.";
            let remaining = "What is left of the quota, when rate limits are enforced.";
            let reset_time = "When the whole quota is there again.";
            let mut put = |name: &str, about: &str, format: &str| {
                let mut schema = json!({ "type": "string", "description": about });
                if let (false, Some(members)) = (format.is_empty(), schema.as_object_mut()) {
                    members.insert("format".to_owned(), format.into());
                }
                properties.insert(name.to_owned(), schema);
            };
            put("error_message", error_message, "");
            put("rate_limit_remaining", remaining, "int64");
            put("rate_limit_reset_time", reset_time, "date-time");
        }
        schema.insert(
            "description".to_owned(),
            json!("The result for a credential."),
        );
        schema.insert("required".to_owned(), json!(["is_active", "is_valid"]));
        schema
    }
}

/// Declares an answer by its properties.
macro_rules! answer {
    ($(#[doc = $about:literal])+ $name:ident, |$generator:ident| $properties:tt) => {
        $(#[doc = $about])+
        pub(crate) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                let properties = json!($properties);
                let required: Vec<&String> = properties.as_object().into_iter().flat_map(Map::keys).collect();
                json_schema!({
                    "type": "object",
                    "description": concat!($($about,)+).trim_start(),
                    "required": required,
                    "properties": properties,
                })
            }
        }
    };
}

answer!(
    /// The result for each credential, in the order of the request.
    BatchVerifyApiKeysResponse,
    |generator| {
        "results": { "type": "array", "items": generator.subschema_for::<VerifyApiKeyResponse>() }
    }
);
answer!(
    /// All is well.
    HealthResponse,
    |_generator| {
        "status": { "type": "string", "const": "ok" }
    }
);
