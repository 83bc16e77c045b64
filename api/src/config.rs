//! The configuration of the node: `POST /v2alpha1/admin/config:reload`, and what `GET /version`
//! says about it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::render;

/// The configuration that a node uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ConfigState")]
pub struct ConfigState {
    /// Which one it is since the start of the node; the first is 1.
    pub generation: u64,
    /// Two nodes have an equal hash if they have equal tenants, secrets, prefixes, issuers and
    /// signing keys.
    pub hash: String,
    /// The keys whose values have changed and take effect at the next start.
    pub restart_required: Vec<String>,
}

/// The configuration of this node, as the control plane sees it.
pub trait Configuration: Send + Sync {
    /// The configuration in use.
    fn state(&self) -> ConfigState;

    /// Loads the configuration again and takes it into use. May block for seconds.
    ///
    /// # Errors
    /// What is wrong with it, for the operator; the old one then stays in use.
    fn reload(&self) -> Result<ConfigState, String>;
}

/// The answer to a reload.
#[must_use]
pub fn render_response(state: &ConfigState) -> Vec<u8> {
    render::json(state)
}
