//! `credentials` and `secrets`: what credentials are made of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use talos_credentials::token::SigningKeys;
use talos_credentials::{MacaroonPrefixes, RetiredIssuer, RetiredSecret};
use talos_model::Secret;

use crate::signing_keys::KeySets;

/// `credentials`: the format and the lifetime of credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The issuer of the credentials. Every valid answer names it.
    pub issuer: String,
    /// Former issuers. Their derived tokens are still accepted.
    pub issuers_retired: Vec<RetiredIssuer>,
    /// How far the clocks of two nodes may differ.
    pub clock_skew: Duration,
    /// Issued keys.
    pub api_keys: ApiKeys,
    /// Derived tokens.
    pub derived_tokens: DerivedTokens,
    /// The keys that sign and verify derived tokens, in the configured order. Those of `https://`
    /// URLs are missing until [`Settings::fetch_key_sets`].
    pub signing_keys: Arc<SigningKeys>,
    /// Where the signing keys come from.
    pub key_sets: KeySets,
    /// A PEM file with the only certificate authorities that the servers of `https://` URLs may
    /// have their certificates from; `None` = those that browsers trust.
    pub key_sets_ca: Option<PathBuf>,
}

/// `credentials.derived_tokens`: tokens that are derived from keys.
#[derive(Clone, Debug)]
pub struct DerivedTokens {
    /// Whether a token becomes invalid when its key does.
    pub check_parent: bool,
    /// The lifetime of a token that is derived without a `ttl`.
    pub default_ttl: Duration,
    /// The `kid` of the key that signs JSON Web Tokens. `None` = the first key with `"use":"sig"`,
    /// else the first key.
    pub signing_key_id: Option<String>,
    /// The prefixes of macaroons, each 1–8 characters of `[A-Za-z0-9_]`.
    pub macaroon_prefixes: MacaroonPrefixes,
}

/// `credentials.api_keys`: issued keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// The lifetime of a key that is issued without a `ttl`; `None` = it does not expire.
    pub default_ttl: Option<Duration>,
    /// The maximum age of an issued key, whatever its expiry says.
    pub max_ttl: Duration,
    /// The prefixes of issued keys.
    pub prefix: KeyPrefixes,
}

/// `credentials.api_keys.prefix`: each 1–16 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug)]
pub struct KeyPrefixes {
    /// For new secret keys.
    pub current: String,
    /// Still accepted.
    pub retired: Vec<String>,
    /// For new public keys; `None` = public keys cannot be issued.
    pub public_current: Option<String>,
    /// Still accepted.
    pub public_retired: Vec<String>,
}

/// `secrets`: HMAC secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Makes and verifies the checksums of issued keys. At least 32 characters.
    pub hmac_current: Secret,
    /// Still verify checksums. Tried in this order, after the current secret.
    pub hmac_retired: Vec<RetiredSecret>,
    /// Seals page tokens. At least 32 characters.
    pub pagination_current: Secret,
    /// Still open page tokens.
    pub pagination_retired: Vec<RetiredSecret>,
    /// `secrets.default`: replaces current secrets that are not set.
    pub(crate) default: DefaultSecrets,
}

/// `secrets.default`: replaces current secrets that are not set.
#[derive(Clone, Debug, Default)]
pub(crate) struct DefaultSecrets {
    pub(crate) current: Option<Secret>,
    pub(crate) retired: Vec<RetiredSecret>,
}

impl Secrets {
    /// The retired secrets of checksums, those that have expired too.
    #[must_use]
    pub fn all_hmac_retired(&self) -> Vec<Secret> {
        let retired = self.hmac_retired.iter();
        retired.map(|retired| retired.secret.clone()).collect()
    }

    /// Fills in current secrets that are not set from `secrets.default`, together with its retired
    /// secrets. Without a default, the checksum secret also seals page tokens.
    pub(crate) fn fill_in_defaults(&mut self) {
        let DefaultSecrets { current, retired } = &self.default;
        if let (None, Some(current)) = (is_set(&self.hmac_current), current) {
            self.hmac_current = current.clone();
            self.hmac_retired.extend_from_slice(retired);
        }
        if is_set(&self.pagination_current).is_none() {
            let (current, retired) = match current {
                Some(current) => (current, retired),
                None => (&self.hmac_current, &self.hmac_retired),
            };
            self.pagination_current = current.clone();
            self.pagination_retired.extend_from_slice(retired);
        }
    }
}

/// The secret, if it was configured. A configured secret is never empty.
fn is_set(secret: &Secret) -> Option<&Secret> {
    Some(secret).filter(|secret| !secret.expose().is_empty())
}
