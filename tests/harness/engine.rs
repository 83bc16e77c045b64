//! The database of a site, without a server.

use std::path::Path;

use talos_engine::{
    Keyring, KeyringSettings, LastUsedOptions, Options, Prefixes, Retention, Secret, TokenSettings,
};

use super::tokens::SECRET;

/// The options of an engine in this directory.
pub fn options(path: &Path) -> Options {
    Options {
        path: path.to_owned(),
        shards: None,
        block_cache_bytes: 1 << 20,
        cache_bytes: 0,
        cache_ttl_s: 300,
        last_used: LastUsedOptions::default(),
        retention: Retention::default(),
        snapshots: 1,
        keyring: Keyring::new(KeyringSettings {
            hmac_current: Secret::new(SECRET.to_owned()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: "ory_ak".to_owned(),
                retired: Vec::new(),
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: "https://issuer.example".to_owned(),
            max_ttl_s: 31_536_000,
            clock_skew_s: 0,
            tokens: TokenSettings::default(),
        }),
        render: talos_api::verify::render_valid,
        render_token: talos_api::verify::render_valid_token,
    }
}
