//! The version of the server: `GET /version`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::render;

/// The answer: `{"version":"…"}`.
#[must_use]
pub fn render_response(version: &str) -> Vec<u8> {
    render::json(&Version { version })
}

/// The version of the server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VersionResponse")]
pub(crate) struct Version<'a> {
    /// The version (Semantic Versioning 2.0.0).
    version: &'a str,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_a_string() {
        assert_eq!(
            super::render_response("0.1.0-\"x\""),
            br#"{"version":"0.1.0-\"x\""}"#
        );
    }
}
