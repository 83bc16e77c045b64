//! The secrets and names by which credentials of one tenant are made and recognised.

use std::fmt;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::credential::issued::{ChecksumKey, IssuedKey, make};
use crate::record::Visibility;
use crate::secret::Secret;

/// What the configuration says about credentials.
#[derive(Clone, Debug)]
pub struct KeyringSettings {
    /// Makes and verifies checksums; at least 32 characters.
    pub hmac_current: Secret,
    /// Still verify checksums, tried in order after the current one.
    pub hmac_retired: Vec<Secret>,
    /// The prefixes of issued keys.
    pub prefixes: Prefixes,
    /// Named in every valid answer.
    pub issuer: String,
    /// The greatest age of an issued key in seconds, whatever its record says.
    pub max_ttl_s: u64,
    /// How far clocks may differ, in seconds.
    pub clock_skew_s: u64,
}

/// The prefixes of issued keys: 1–16 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug)]
pub struct Prefixes {
    /// For new secret keys.
    pub current: String,
    /// Still accepted.
    pub retired: Vec<String>,
    /// For new public keys; `None` = public keys cannot be issued.
    pub public_current: Option<String>,
    /// Still accepted.
    pub public_retired: Vec<String>,
}

impl Prefixes {
    fn accept(&self, prefix: &[u8]) -> bool {
        let others = self
            .retired
            .iter()
            .chain(&self.public_current)
            .chain(&self.public_retired);
        std::iter::once(&self.current)
            .chain(others)
            .any(|known| known.as_bytes() == prefix)
    }
}

/// Ready-to-use secrets and prefixes.
pub struct Keyring {
    settings: KeyringSettings,
    current: ChecksumKey,
    retired: Vec<ChecksumKey>,
}

impl Keyring {
    /// Prepares the secrets.
    #[must_use]
    pub fn new(settings: KeyringSettings) -> Self {
        let current = ChecksumKey::new(&settings.hmac_current);
        let retired = settings.hmac_retired.iter().map(ChecksumKey::new).collect();
        Self {
            settings,
            current,
            retired,
        }
    }

    /// Named in every valid answer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The credential of a new key, or `None` when it is to be public and no prefix for public keys is set.
    #[must_use]
    pub fn make(
        &self,
        visibility: Visibility,
        issue_time: UnixMillis,
        uuid: Uuid,
    ) -> Option<Secret> {
        let prefix = match visibility {
            Visibility::Secret => &self.settings.prefixes.current,
            Visibility::Public => self.settings.prefixes.public_current.as_ref()?,
        };
        Some(make(prefix, issue_time, uuid, &self.current))
    }

    /// Until when `key` may be used whatever its record says; `None` when it is not one of ours: a prefix that is not
    /// accepted or a checksum that no secret makes. All secrets are tried even after one fits a wrong prefix, so that
    /// neither fault takes less time than the other.
    #[must_use]
    pub fn prove(&self, key: &IssuedKey<'_>) -> Option<UnixMillis> {
        let prefix_accepted = self.settings.prefixes.accept(key.prefix);
        let signed = key.is_signed_by(&self.current)
            || self.retired.iter().any(|retired| key.is_signed_by(retired));
        let life_s = self
            .settings
            .max_ttl_s
            .saturating_add(self.settings.clock_skew_s);
        (prefix_accepted && signed).then(|| key.issue_time.plus_seconds(life_s))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(current: &str, retired: &[&str]) -> Keyring {
        Keyring::new(KeyringSettings {
            hmac_current: Secret::new(current.to_owned()),
            hmac_retired: retired
                .iter()
                .map(|&secret| Secret::new(secret.to_owned()))
                .collect(),
            prefixes: Prefixes {
                current: "new".to_owned(),
                retired: vec!["old".to_owned()],
                public_current: None,
                public_retired: vec!["pub".to_owned()],
            },
            issuer: "i".to_owned(),
            max_ttl_s: 100,
            clock_skew_s: 10,
        })
    }

    #[test]
    fn current_and_retired_secrets_and_prefixes_prove_a_key() {
        let now = keyring("b", &["a"]);
        for (prefix, secret, proven) in [
            ("new", "b", true),
            ("old", "a", true),
            ("pub", "a", true),
            ("foreign", "b", false),
            ("new", "c", false),
        ] {
            let secret = ChecksumKey::new(&Secret::new(secret.to_owned()));
            let text = make(prefix, UnixMillis(5_000), Uuid::from_u128(1), &secret);
            let key = IssuedKey::parse(text.expose().as_bytes()).unwrap();
            assert_eq!(
                now.prove(&key),
                proven.then_some(UnixMillis(115_000)),
                "{prefix}"
            );
        }
    }

    #[test]
    fn public_keys_need_a_prefix_and_secrets_do_not_print() {
        let keyring = keyring("do-not-print", &[]);
        assert!(
            keyring
                .make(Visibility::Public, UnixMillis(0), Uuid::nil())
                .is_none()
        );
        assert!(!format!("{keyring:?}").contains("do-not-print"));
    }
}
