//! Fields of keys: parsed from the command line and written to requests.

use std::str::FromStr;

use serde::Serialize;
use serde_json::value::RawValue;
use talos_model::cidr::Cidr;
use talos_model::duration::{self, InvalidDuration};

use crate::error::CliError;

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

/// The rate limit of a key; `None` for a quota of 0, which is no limit.
///
/// # Errors
/// [`CliError::Usage`] for a quota without its window.
pub(crate) fn limit(
    quota: Option<u64>,
    window: Option<&str>,
) -> Result<Option<RateLimitPolicy<'_>>, CliError> {
    match (quota.filter(|quota| *quota > 0), window) {
        (None, _) => Ok(None),
        (Some(quota), Some(window)) => Ok(Some(RateLimitPolicy::new(quota, window))),
        (Some(_), None) => {
            let message = "--rate-limit-quota needs --rate-limit-window, such as 60s";
            Err(CliError::Usage(message.to_owned()))
        }
    }
}

/// How long a new key or token lives. Zero leaves that to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(Option<String>);

impl Lifetime {
    /// The text for the request, unchanged; `None` leaves the lifetime to the server.
    pub(crate) fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for Lifetime {
    type Err = InvalidDuration;

    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let is_given = !duration::parse(text)?.is_zero();
        Ok(Self(is_given.then(|| text.to_owned())))
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
