//! Makes tenants of their settings.

use std::collections::HashMap;
use std::iter;
use std::sync::Arc;

use talos_config::{Credentials, Settings, TenantSettings};
use talos_credentials::{Enforcement, Keyring, KeyringSettings, Prefixes, Tenant, TokenSettings};
use talos_model::TenantId;

/// All tenants. What is the same as `before` stays the same object, so that what was proven under
/// it stays proven.
pub(super) fn of(settings: &Settings, before: &[Arc<Tenant>]) -> Vec<Arc<Tenant>> {
    let before: HashMap<TenantId, &Arc<Tenant>> =
        before.iter().map(|tenant| (tenant.id, tenant)).collect();
    let tenants = settings.tenants.iter();
    tenants
        .map(|settings| {
            let before = before.get(&settings.id).copied();
            let tenant = self::tenant(settings, before);
            match before {
                Some(before) if **before == tenant => Arc::clone(before),
                _ => Arc::new(tenant),
            }
        })
        .collect()
}

fn tenant(settings: &TenantSettings, before: Option<&Arc<Tenant>>) -> Tenant {
    let keys = &settings.credentials.api_keys;
    // A default is not refused, but shortened: no client has asked for it.
    let default_ttl = keys.default_ttl.map(|ttl| ttl.min(keys.max_ttl));
    let pagination = settings.secrets.pagination_current.clone().into();
    let pagination_retired = settings.secrets.pagination_retired.iter().cloned();
    Tenant {
        id: settings.id,
        hosts: settings.hosts.clone(),
        keyring: keyring(settings, before),
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

fn keyring(settings: &TenantSettings, before: Option<&Arc<Tenant>>) -> Arc<Keyring> {
    let keys = &settings.credentials.api_keys;
    let settings = KeyringSettings {
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
    };
    match before {
        Some(before) if *before.keyring.settings() == settings => Arc::clone(&before.keyring),
        _ => Arc::new(Keyring::new(settings)),
    }
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
