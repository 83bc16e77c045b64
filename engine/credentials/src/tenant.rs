//! A tenant: a customer whose keys are separate from those of all others.

use std::sync::Arc;

use talos_model::{Secret, TenantId};

use crate::{Keyring, RetiredSecret};

/// The settings of a tenant. Immutable; a change of the configuration makes a new value.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id, which is part of every key in memory and on disk.
    pub id: TenantId,
    /// The hosts of its requests.
    pub hosts: Hosts,
    /// Its secrets, prefixes, issuer and signing keys. As long as it is the same object, what was
    /// proven under it stays proven.
    pub keyring: Arc<Keyring>,
    /// The lifetime of a cached key in seconds; after it the record is read from storage again.
    pub cache_ttl_s: u32,
    /// Whether the rate limits of its keys are enforced.
    pub rate_limits: Enforcement,
    /// The most keys that are not revoked; `None` = any number.
    pub live_keys_max: Option<u64>,
    /// The lifetime in milliseconds of a key that is issued without one; `None` = it does not
    /// expire.
    pub default_ttl_ms: Option<u64>,
    /// The secrets that open page tokens. The first one seals new ones.
    pub page_secrets: Vec<RetiredSecret>,
}

/// The hosts whose requests belong to a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// Every host that no other tenant has.
    Any,
    /// These, in lower case, without ports and brackets.
    Names(Arc<[Box<str>]>),
}

/// Whether rate limits are enforced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// Policies are stored and shown, but not enforced.
    #[default]
    Off,
    /// Requests over the limit are refused.
    On,
}

/// Two tenants are equal if their settings are, and their keyring is the same object.
impl PartialEq for Tenant {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            hosts,
            keyring,
            cache_ttl_s,
            rate_limits,
            live_keys_max,
            default_ttl_ms,
            page_secrets,
        } = self;
        *id == other.id
            && *hosts == other.hosts
            && Arc::ptr_eq(keyring, &other.keyring)
            && *cache_ttl_s == other.cache_ttl_s
            && *rate_limits == other.rate_limits
            && *live_keys_max == other.live_keys_max
            && *default_ttl_ms == other.default_ttl_ms
            && *page_secrets == other.page_secrets
    }
}

impl Tenant {
    /// A tenant with every host, without a quota and a default lifetime, whose rate limits are not
    /// enforced and whose page tokens are sealed by an empty secret.
    #[must_use]
    pub fn new(id: TenantId, keyring: Keyring, cache_ttl_s: u32) -> Self {
        Self {
            id,
            hosts: Hosts::Any,
            keyring: Arc::new(keyring),
            cache_ttl_s,
            rate_limits: Enforcement::Off,
            live_keys_max: None,
            default_ttl_ms: None,
            page_secrets: vec![Secret::new(String::new()).into()],
        }
    }
}
