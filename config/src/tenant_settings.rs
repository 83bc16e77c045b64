//! The settings of one tenant.

use std::time::Duration;

use talos_credentials::Hosts;
use talos_model::TenantId;

use crate::credentials::{Credentials, Secrets};

/// The settings of one tenant.
#[derive(Clone, Debug)]
pub struct TenantSettings {
    /// Its id.
    pub id: TenantId,
    /// Its hosts.
    pub hosts: Hosts,
    /// The format and the lifetime of its credentials.
    pub credentials: Credentials,
    /// Its HMAC secrets.
    pub secrets: Secrets,
    /// After this time an answer is read from storage again.
    pub cache_ttl: Duration,
    /// Whether the rate limits of its keys are enforced.
    pub rate_limits_enabled: bool,
    /// The most keys that are not revoked; `None` = any number.
    pub api_keys_max: Option<u64>,
}

/// Whether a tenant's own file may set the key.
pub(crate) fn is_of_tenant(path: &str) -> bool {
    let sections = ["credentials.", "secrets.", "quota."];
    matches!(path, "rate_limit.enabled" | "cache.ttl")
        || sections.iter().any(|section| path.starts_with(section))
}
