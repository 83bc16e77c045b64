//! A hash of what must be the same on all nodes of a fleet: tenants, secrets, prefixes, issuers and
//! signing keys.
//!
//! It is keyed by the secret of issued keys, so it helps nobody to guess a secret.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use talos_config::{Settings, TenantSettings};
use talos_credentials::{Hosts, RetiredSecret};
use talos_model::Secret;

const LABEL: &[u8] = b"talos/config/v1";
/// Enough that two configurations do not agree by chance.
const BYTES: usize = 8;

/// The hash, in hexadecimal.
pub(super) fn of(settings: &Settings) -> String {
    let key = settings.secrets.hmac_current.expose().as_bytes();
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length");
    };
    let mut hash = Fields(mac);
    hash.bytes(LABEL);
    let mut tenants: Vec<_> = settings.tenants.iter().collect();
    tenants.sort_unstable_by_key(|tenant| tenant.id.0);
    for tenant in tenants {
        hash.tenant(tenant);
    }
    let digest = hash.0.finalize().into_bytes();
    digest
        .iter()
        .take(BYTES)
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Takes fields one after the other, each with its length, so that no two sequences look alike.
struct Fields(Hmac<Sha256>);

impl Fields {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a String>) {
        let texts: Vec<_> = texts.into_iter().collect();
        self.bytes(&(texts.len() as u64).to_le_bytes());
        for text in texts {
            self.text(text);
        }
    }

    fn secrets(&mut self, current: &Secret, retired: &[RetiredSecret]) {
        self.text(current.expose());
        self.bytes(&(retired.len() as u64).to_le_bytes());
        for secret in retired {
            self.text(secret.secret.expose());
            self.bytes(&secret.accepted_until().0.to_le_bytes());
        }
    }

    fn tenant(&mut self, tenant: &TenantSettings) {
        self.bytes(tenant.id.0.as_bytes());
        if let Hosts::Names(hosts) = &tenant.hosts {
            let mut hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
            hosts.sort_unstable();
            self.texts(&hosts);
        }
        let secrets = &tenant.secrets;
        self.secrets(&secrets.hmac_current, &secrets.hmac_retired);
        self.secrets(&secrets.pagination_current, &secrets.pagination_retired);
        let credentials = &tenant.credentials;
        self.text(&credentials.issuer);
        self.texts(
            credentials
                .issuers_retired
                .iter()
                .map(|issuer| &issuer.value),
        );
        let keys = &credentials.api_keys;
        let prefix = &keys.prefix;
        self.text(&prefix.current);
        self.texts(&prefix.retired);
        self.texts(&prefix.public_current);
        self.texts(&prefix.public_retired);
        self.bytes(&keys.max_ttl.as_millis().to_le_bytes());
        let tokens = &credentials.derived_tokens;
        self.texts(&tokens.signing_key_id);
        self.text(&tokens.macaroon_prefixes.current);
        self.texts(&tokens.macaroon_prefixes.retired);
        self.bytes(&[u8::from(tokens.check_parent)]);
        self.text(&credentials.signing_keys.public_set().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(changed: &[(&str, &str)]) -> String {
        let required = [
            ("TALOS_CREDENTIALS_ISSUER", "https://keys.example"),
            (
                "TALOS_SECRETS_HMAC_CURRENT",
                "correct-horse-battery-staple-0123456789",
            ),
        ];
        let is_kept = |(name, _): &&(&str, &str)| !changed.iter().any(|(other, _)| other == name);
        let variables = required.iter().filter(is_kept).chain(changed);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        of(&Settings::load(None, variables, &[]).expect("settings").0)
    }

    #[test]
    fn it_depends_on_what_must_be_the_same_and_on_nothing_else() {
        let usual = hash(&[]);
        assert_eq!(usual.len(), 2 * BYTES);
        for same in [
            ("TALOS_SERVE_HTTP_PORT", "1"),
            ("TALOS_LOG_LEVEL", "debug"),
            ("TALOS_CACHE_TTL", "1m"),
        ] {
            assert_eq!(hash(&[same]), usual, "{same:?}");
        }
        let different = [
            (
                "TALOS_SECRETS_HMAC_CURRENT",
                "another-horse-battery-staple-0123456789",
            ),
            (
                "TALOS_SECRETS_HMAC_RETIRED",
                "another-horse-battery-staple-0123456789",
            ),
            (
                "TALOS_SECRETS_PAGINATION_CURRENT",
                "another-horse-battery-staple-0123456789",
            ),
            ("TALOS_CREDENTIALS_ISSUER", "https://other.example"),
            ("TALOS_CREDENTIALS_API_KEYS_PREFIX_CURRENT", "other"),
            ("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "other"),
            ("TALOS_CREDENTIALS_API_KEYS_MAX_TTL", "1h"),
            (
                "TALOS_CREDENTIALS_DERIVED_TOKENS_MACAROON_PREFIX_CURRENT",
                "other",
            ),
        ];
        let mut hashes: Vec<_> = different.iter().map(|one| hash(&[*one])).collect();
        hashes.push(usual);
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }
}
