//! The fields of a new key, issued or imported.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{
    IpRestriction, Lifetime, RateLimitPolicy, limit, parse_cidr, parse_duration, parse_object,
};
use crate::error::CliError;
use crate::patience::Repeat;

/// The fields of a new key.
#[derive(Debug, Args)]
pub(crate) struct NewKeyArguments {
    /// Name of the key, for people
    name: String,

    /// Actor that owns the key
    #[arg(long)]
    actor: String,

    /// Scopes of the key
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…")]
    scopes: Vec<String>,

    /// Metadata; the answer to a verification contains it
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Box<RawValue>>,

    /// Addresses from which the key may be used
    #[arg(long, value_delimiter = ',', value_name = "CIDR,…", value_parser = parse_cidr)]
    allowed_cidrs: Vec<String>,

    /// How often the key may be verified within the window; 0 = no limit
    #[arg(long, value_name = "N")]
    rate_limit_quota: Option<u64>,

    /// Window of the quota, in whole seconds: 60s, 1h
    #[arg(long, value_name = "DURATION", requires = "rate_limit_quota", value_parser = parse_duration)]
    rate_limit_window: Option<String>,

    /// Whether clients may see the key; issued public keys have their own prefix
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,

    /// Makes the command safe to repeat: the server makes one key for this id, and refuses another
    /// request with it
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Visibility {
    /// For servers only
    Secret,
    /// Safe in browsers and apps
    Public,
}

#[derive(Serialize)]
struct NewKey<'a> {
    name: &'a str,
    actor_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_key: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_restriction: Option<IpRestriction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<RateLimitPolicy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl NewKeyArguments {
    /// The request for the key. `raw_key` is the key to import. Without a lifetime the server
    /// decides on it.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a quota without its window.
    pub(crate) fn request(
        &self,
        raw_key: Option<&str>,
        lifetime: Option<&Lifetime>,
    ) -> Result<Vec<u8>, CliError> {
        let limit = limit(self.rate_limit_quota, self.rate_limit_window.as_deref())?;
        let request = NewKey {
            name: &self.name,
            actor_id: &self.actor,
            raw_key,
            scopes: &self.scopes,
            ttl: lifetime.and_then(Lifetime::text),
            metadata: self.metadata.as_deref(),
            ip_restriction: (!self.allowed_cidrs.is_empty())
                .then(|| IpRestriction::new(&self.allowed_cidrs)),
            rate_limit_policy: limit,
            visibility: self.visibility.map(|visibility| match visibility {
                Visibility::Secret => "KEY_VISIBILITY_SECRET",
                Visibility::Public => "KEY_VISIBILITY_PUBLIC",
            }),
            request_id: self.request_id.as_deref(),
        };
        serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))
    }

    /// Whether the request may be sent again.
    pub(crate) fn repeat(&self) -> Repeat {
        match self.request_id.as_deref() {
            None | Some("") => Repeat::Never,
            Some(_) => Repeat::Always,
        }
    }
}
