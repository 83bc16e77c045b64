//! Fields of keys: parsed from the command line and written to requests.

use serde::Serialize;
use serde_json::value::RawValue;
use talos_model::cidr::Cidr;
use talos_model::duration::{self, InvalidDuration};

/// The addresses from which a key may be used.
#[derive(Debug, Serialize)]
pub(crate) struct IpRestriction<'a> {
    allowed_cidrs: &'a [String],
}

impl<'a> IpRestriction<'a> {
    /// Allows only these blocks.
    pub(crate) fn new(allowed_cidrs: &'a [String]) -> Self {
        Self { allowed_cidrs }
    }
}

/// How often a key may be verified.
#[derive(Debug, Serialize)]
pub(crate) struct RateLimitPolicy<'a> {
    /// A string, because the JSON of protocol buffers writes 64-bit integers as strings.
    quota: String,
    window: &'a str,
    unit: &'static str,
}

impl<'a> RateLimitPolicy<'a> {
    /// Allows `quota` verifications within `window`.
    pub(crate) fn new(quota: u64, window: &'a str) -> Self {
        Self {
            quota: quota.to_string(),
            window,
            unit: "requests",
        }
    }
}

/// Checks a duration. The text is sent unchanged.
pub(crate) fn parse_duration(text: &str) -> Result<String, InvalidDuration> {
    duration::parse(text).map(|_| text.to_owned())
}

/// Checks a CIDR block. The text is sent unchanged.
pub(crate) fn parse_cidr(text: &str) -> Result<String, String> {
    text.parse::<Cidr>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// Checks a JSON object. The text is sent unchanged, so numbers keep their spelling.
pub(crate) fn parse_object(text: &str) -> Result<Box<RawValue>, String> {
    let json: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if json.get().trim_start().starts_with('{') {
        Ok(json)
    } else {
        Err("not a JSON object".to_owned())
    }
}
