//! The version of the server: `GET /version`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::ConfigState;
use crate::render;

/// The answer: `{"version":"…","config":{…}}`.
#[must_use]
pub fn render_response(version: &str, config: &ConfigState) -> Vec<u8> {
    render::json(&Version { version, config })
}

/// The version of the server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VersionResponse")]
pub(crate) struct Version<'a> {
    /// The version (Semantic Versioning 2.0.0).
    version: &'a str,
    /// The configuration that this node uses.
    config: &'a ConfigState,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_a_string() {
        let config = super::ConfigState {
            generation: 1,
            hash: "00".to_owned(),
            restart_required: Vec::new(),
        };
        let body = super::render_response("0.1.0-\"x\"", &config);
        assert_eq!(
            String::from_utf8(body).expect("UTF-8"),
            r#"{"version":"0.1.0-\"x\"","config":{"generation":1,"hash":"00","restart_required":[]}}"#
        );
    }
}
