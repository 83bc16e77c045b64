//! Functions that render answer bodies. The caller passes them when it opens the engine.

use talos_credentials::token::Claims;
use talos_model::Record;

/// Renders the answer body of a valid key from its record and the configured issuer.
pub type RenderBody = fn(&Record, issuer: &str) -> Vec<u8>;
/// Renders the answer body of a valid derived token from its claims.
pub type RenderTokenBody = fn(&Claims) -> Vec<u8>;
