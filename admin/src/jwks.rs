//! `GET /v2alpha1/derivedKeys/jwks.json`, also below `/v2alpha1/admin/`

use serde_json::Value;
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::jwks;
use xxhash_rust::xxh3::xxh3_64;

use crate::context::Context;
use crate::limits;

/// Members of a JWK that contain private or symmetric key material (RFC 7518 §6.2.2, §6.3.2,
/// §6.4.1; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a key set cannot be published. For the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum InvalidSet {
    /// It does not have the form of RFC 7517 §5.
    #[error(
        "the set of public signing keys must be an object whose \"keys\" is an array of objects"
    )]
    Form,
    /// It contains a private key, which everybody could read.
    #[error("the set of public signing keys holds a private key")]
    Private,
}

/// Shows the public signing keys of the request's tenant.
pub(crate) fn answer(
    context: &Context,
    request: &ControlRequest,
) -> Result<ControlResponse, ApiError> {
    let tenant = context.tenant(request)?;
    let set = KeySet::new(tenant.keyring.tokens().signing_keys.public_set());
    let set = set.map_err(|error| {
        tracing::error!(%error, "the signing keys cannot be shown");
        ApiError::internal()
    })?;
    Ok(set.answer(request))
}

/// The public signing keys, ready to be sent.
struct KeySet {
    body: Vec<u8>,
    /// Changes with the body (RFC 9110 §8.8.3).
    entity_tag: String,
}

impl KeySet {
    /// Prepares the answers that show `set`.
    ///
    /// # Errors
    /// [`InvalidSet`] when the set is malformed or contains a private key.
    fn new(set: Value) -> Result<Self, InvalidSet> {
        let body = render(set)?;
        let entity_tag = format!("\"{:016x}\"", xxh3_64(&body));
        Ok(Self { body, entity_tag })
    }

    /// The set, or 304 without it when the client has it already (RFC 9110 §13.1.2).
    fn answer(&self, request: &ControlRequest) -> ControlResponse {
        let is_there = request
            .headers
            .iter()
            .filter(|(name, _)| name == "if-none-match")
            .any(|(_, value)| self.is_listed(value));
        let mut response = if is_there {
            ControlResponse {
                status: 304,
                headers: Vec::new(),
                body: Vec::new(),
                rest: None,
            }
        } else {
            ControlResponse::json(200, self.body.clone())
        };
        let lifetime = format!("public, max-age={}", limits::KEY_SET_AGE.as_secs());
        response.headers.push(("Cache-Control", lifetime));
        response.headers.push(("ETag", self.entity_tag.clone()));
        response
    }

    /// Whether a value of `If-None-Match` lists the set. The comparison is the weak one.
    fn is_listed(&self, value: &str) -> bool {
        let mut tags = value.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.entity_tag)
    }
}

/// Renders the answer that shows `set`.
fn render(mut set: Value) -> Result<Vec<u8>, InvalidSet> {
    let Some(Value::Array(keys)) = set.get_mut("keys").map(Value::take) else {
        return Err(InvalidSet::Form);
    };
    for key in &keys {
        let members = key.as_object().ok_or(InvalidSet::Form)?;
        if PRIVATE_MEMBERS
            .iter()
            .any(|member| members.contains_key(*member))
        {
            return Err(InvalidSet::Private);
        }
    }
    Ok(jwks::render_response(&keys))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_set_is_shown_twice() {
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": "AA"});
        for keys in [json!([]), json!([key]), json!([key, key])] {
            let body = render(json!({ "keys": keys })).expect("a set");
            let value: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(value, json!({ "keys": keys, "jwks": { "keys": keys } }));
        }
    }

    #[test]
    fn private_keys_and_other_forms_are_refused() {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            assert_eq!(
                render(json!({"keys": [{"kty": "x"}, {"kty": "x", member: "AA"}]})),
                Err(InvalidSet::Private)
            );
        }
        for set in [
            json!({}),
            json!([]),
            json!(null),
            json!({"keys": {}}),
            json!({"keys": ["x"]}),
        ] {
            assert_eq!(render(set), Err(InvalidSet::Form));
        }
    }
}
