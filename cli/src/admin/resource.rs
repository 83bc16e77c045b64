//! Admin tokens in the REST API.

use serde_json::Value;

use crate::client::{Answer, url_encoded};

/// The path of all tokens.
pub(super) const PATH: &str = "/v2alpha1/admin/tokens";

/// The path of the token with this id.
pub(super) fn path_of(id: &str) -> String {
    format!("{PATH}/{}", url_encoded(id))
}

/// The tokens in the answer to a list.
pub(super) fn tokens_of(answer: &Answer) -> &[Value] {
    let tokens = answer.json.get("tokens").and_then(Value::as_array);
    tokens.map(Vec::as_slice).unwrap_or_default()
}
