//! The settings of the server that is attacked.
//!
//! They are smaller than the defaults. So a few hundred hostile connections make everything scarce,
//! and clients that wait for a timeout see it within one round.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Connections of a worker. Hostile clients have more.
pub const CONNECTIONS: u64 = 1024;
/// The memory of a worker for requests and answers, in bytes.
pub const REQUEST_MEMORY: u64 = 64 << 20;
/// The memory for keys in use, in bytes.
pub const CACHE: u64 = 32 << 20;
/// The memory for blocks of the database, in bytes.
pub const BLOCK_CACHE: u64 = 32 << 20;

/// A setting of the server, `KEY=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its path in the configuration.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').filter(|(key, _)| key.contains('.'));
        let (key, value) = parts.ok_or("expected KEY=VALUE, such as db.shards=1")?;
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// The settings by which administrators need a token, and others may verify.
#[must_use]
pub fn authentication(token: &str) -> [Setting; 3] {
    let setting = |name: &str, value: &str| Setting {
        key: format!("serve.admin.auth.{name}"),
        value: value.to_owned(),
    };
    [
        setting("enabled", "true"),
        setting("open_verification", "true"),
        setting("bootstrap_token", token),
    ]
}

/// The settings of a run by their paths, with `changed` in place of its own.
#[must_use]
pub fn settings(driver: &str, changed: &[Setting]) -> BTreeMap<String, String> {
    let own = [
        ("serve.driver", driver.to_owned()),
        ("serve.http.limits.connections", CONNECTIONS.to_string()),
        ("serve.http.limits.memory", REQUEST_MEMORY.to_string()),
        ("serve.http.timeouts.idle", "15s".to_owned()),
        ("serve.http.timeouts.head", "5s".to_owned()),
        ("serve.http.timeouts.body", "15s".to_owned()),
        ("serve.http.timeouts.body_progress", "5s".to_owned()),
        ("serve.http.timeouts.write", "10s".to_owned()),
        ("cache.memory.max_size", CACHE.to_string()),
        ("db.block_cache_size", BLOCK_CACHE.to_string()),
    ];
    let mut all: BTreeMap<_, _> = own
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    for setting in changed {
        all.insert(setting.key.clone(), setting.value.clone());
    }
    all
}

/// The environment variable of a setting.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("TALOS_{}", key.replace('.', "_").to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_setting_takes_the_place_of_the_own_one() {
        let changed = "serve.http.limits.memory=99".parse().unwrap();
        let all = settings("epoll", &[changed]);
        assert_eq!(all["serve.http.limits.memory"], "99");
        assert_eq!(all["serve.driver"], "epoll");
        assert_eq!(variable("serve.driver"), "TALOS_SERVE_DRIVER");
        for bad in ["x", "x=1", "=1"] {
            assert!(
                bad.parse::<Setting>().unwrap_err().contains("KEY=VALUE"),
                "{bad}"
            );
        }
    }
}
