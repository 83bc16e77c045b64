//! The public signing keys: `GET /v2alpha1/derivedKeys/jwks.json`.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::render;
use crate::schema::FreeObject;

/// The answer: the set of RFC 7517 §5, and the set again as `jwks`, where some clients expect it.
#[must_use]
pub fn render_response(keys: &[Value]) -> Vec<u8> {
    render::json(&KeySets {
        keys,
        jwks: KeySet { keys },
    })
}

/// The public signing keys, twice.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "GetJWKSResponse")]
pub(crate) struct KeySets<'a> {
    /// The keys (RFC 7517 §4).
    #[schemars(with = "Vec<FreeObject>")]
    keys: &'a [Value],
    /// The keys a second time, as a nested set, where some SDK versions read them.
    jwks: KeySet<'a>,
}

/// A set of keys (RFC 7517 §5).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "JsonWebKeySet", inline)]
struct KeySet<'a> {
    /// The keys (RFC 7517 §4).
    #[schemars(with = "Vec<FreeObject>")]
    keys: &'a [Value],
}
