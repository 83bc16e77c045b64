//! The database of a site, without a server.

use std::path::Path;

use talos_credentials::{Keyring, KeyringSettings};
use talos_engine::Options;
use talos_model::Secret;
use talos_test_kit::engine::{keyring_settings, prefixes, tenants};

use super::tokens::SECRET;

/// The options of an engine in this directory, with the secret and the prefix of a site's server.
pub fn options(path: &Path) -> Options {
    Options {
        cache_bytes: 0,
        snapshots: 1,
        tenants: tenants(Keyring::new(KeyringSettings {
            hmac_current: Secret::new(SECRET.to_owned()),
            prefixes: prefixes("ory_ak"),
            issuer: "https://issuer.example".to_owned(),
            ..keyring_settings()
        })),
        ..talos_test_kit::engine::options(path)
    }
}
