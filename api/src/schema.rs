//! Schemas of values whose Rust type does not tell their format.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// Declares a schema that is written out wherever it is used.
macro_rules! inline_schema {
    ($(#[doc = $about:literal])+ $name:ident, $schema:tt) => {
        $(#[doc = $about])+
        pub(crate) enum $name {}

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

inline_schema!(
    /// An instant (RFC 3339).
    Timestamp,
    { "type": "string", "format": "date-time" }
);
inline_schema!(
    /// A 64-bit integer in decimal digits: JSON numbers are not exact beyond 2^53.
    Int64,
    { "type": "string", "format": "int64" }
);
inline_schema!(
    /// An object whose fields the server does not know.
    FreeObject,
    { "type": "object" }
);
