//! Makes tenants of their settings.

use std::iter;
use std::sync::Arc;

use talos_config::{Credentials, Settings, TenantSettings};
use talos_credentials::{Enforcement, Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings};

/// All tenants.
pub(super) fn of(settings: &Settings) -> Vec<Arc<Tenant>> {
    let tenants = settings.tenants.iter();
    tenants
        .map(|tenant| Arc::new(self::tenant(tenant)))
        .collect()
}

fn tenant(settings: &TenantSettings) -> Tenant {
    let keys = &settings.credentials.api_keys;
    // A default is not refused, but shortened: no client has asked for it.
    let default_ttl = keys.default_ttl.map(|ttl| ttl.min(keys.max_ttl));
    let pagination = settings.secrets.pagination_current.clone().into();
    let pagination_retired = settings.secrets.pagination_retired.iter().cloned();
    Tenant {
        id: settings.id,
        hosts: settings.hosts.clone(),
        keyring: Arc::new(keyring(settings)),
        cache_ttl_s: u32::try_from(settings.cache_ttl.as_secs()).unwrap_or(u32::MAX),
        rate_limits: if settings.rate_limits_enabled {
            Enforcement::On
        } else {
            Enforcement::Off
        },
        live_keys_max: settings.api_keys_max,
        default_ttl_ms: default_ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX)),
        page_secrets: iter::once(pagination).chain(pagination_retired).collect(),
    }
}

fn keyring(settings: &TenantSettings) -> Keyring {
    let keys = &settings.credentials.api_keys;
    Keyring::new(KeyringSettings {
        hmac_current: settings.secrets.hmac_current.clone(),
        hmac_retired: settings.secrets.hmac_retired.clone(),
        prefixes: Prefixes {
            current: keys.prefix.current.clone(),
            retired: keys.prefix.retired.clone(),
            public_current: keys.prefix.public_current.clone(),
            public_retired: keys.prefix.public_retired.clone(),
        },
        issuer: settings.credentials.issuer.clone(),
        max_ttl_s: keys.max_ttl.as_secs(),
        clock_skew_s: settings.credentials.clock_skew.as_secs(),
        tokens: token_settings(&settings.credentials),
    })
}

fn token_settings(credentials: &Credentials) -> TokenSettings {
    let tokens = &credentials.derived_tokens;
    TokenSettings {
        issuers_retired: credentials.issuers_retired.clone(),
        signing_keys: Arc::clone(&credentials.signing_keys),
        signing_key_id: tokens.signing_key_id.clone(),
        macaroon_prefixes: tokens.macaroon_prefixes.clone(),
        default_ttl_s: tokens.default_ttl.as_secs(),
        check_parent: tokens.check_parent,
    }
}
