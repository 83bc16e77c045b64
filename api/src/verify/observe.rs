//! `?observe=true`: a verification that is no use of the key.

use crate::error::ApiError;
use crate::query::{self, Parameter};

/// The parameters of a verification.
pub(crate) const QUERY: [Parameter; 1] = [OBSERVE];

const OBSERVE: Parameter = Parameter::boolean(
    "observe",
    "`true`: the verification is no use of the key. It takes nothing from the key's rate limit, which does not limit it either, and the key's time of last use stays. For principals that may read keys, and on listeners for administrators.",
);

/// Whether the query of a verification asks for an observation.
///
/// # Errors
/// 400 when the value is not `true` or `false`, and for a misspelt name.
pub fn parse_observe(query: &str) -> Result<bool, ApiError> {
    Ok(query::boolean(query, &OBSERVE)?.unwrap_or_default())
}
