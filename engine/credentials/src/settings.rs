//! The settings of credentials and derived tokens.

use std::sync::Arc;

use talos_model::Secret;
use talos_model::clock::UnixMillis;

use crate::macaroon_prefixes::MacaroonPrefixes;
use crate::token::SigningKeys;

/// The settings of credentials.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyringSettings {
    /// The secret that makes and verifies checksums; at least 32 characters.
    pub hmac_current: Secret,
    /// Secrets that only verify checksums, tried in order after the current one.
    pub hmac_retired: Vec<RetiredSecret>,
    /// The prefixes of issued keys.
    pub prefixes: Prefixes,
    /// The issuer in every valid answer and in new tokens.
    pub issuer: String,
    /// The maximum age of an issued key in seconds, even if its record expires later.
    pub max_ttl_s: u64,
    /// The tolerated difference between clocks, in seconds.
    pub clock_skew_s: u64,
    /// The settings of derived tokens.
    pub tokens: TokenSettings,
}

/// The settings of derived tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// Former issuers whose tokens are accepted.
    pub issuers_retired: Vec<RetiredIssuer>,
    /// The keys that sign and verify JSON Web Tokens.
    pub signing_keys: Arc<SigningKeys>,
    /// The `kid` of the key that signs; `None` = the first with `"use":"sig"`, else the first.
    pub signing_key_id: Option<String>,

    /// The prefixes of macaroons.
    pub macaroon_prefixes: MacaroonPrefixes,
    /// The lifetime of a token in seconds if the request gives none.
    pub default_ttl_s: u64,
    /// Whether a token becomes invalid with the key that it was derived from.
    pub check_parent: bool,
}

impl Default for TokenSettings {
    /// No signing keys; otherwise the defaults of the configuration.
    fn default() -> Self {
        Self {
            issuers_retired: Vec::new(),
            signing_keys: Arc::default(),
            signing_key_id: None,
            macaroon_prefixes: MacaroonPrefixes::default(),
            default_ttl_s: 3600,
            check_parent: true,
        }
    }
}

/// A former secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredSecret {
    /// The secret.
    pub secret: Secret,
    /// What it signed is refused from this instant on; `None` = never.
    pub expires_at: Option<UnixMillis>,
}

impl RetiredSecret {
    /// The instant from which what it signed is refused.
    #[must_use]
    pub fn accepted_until(&self) -> UnixMillis {
        self.expires_at.unwrap_or(UnixMillis(i64::MAX))
    }
}

impl From<Secret> for RetiredSecret {
    /// A secret that does not expire.
    fn from(secret: Secret) -> Self {
        Self {
            secret,
            expires_at: None,
        }
    }
}

/// A former issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredIssuer {
    /// The `iss` claim of its tokens.
    pub value: String,
    /// Its tokens are refused from this instant on; `None` = never.
    pub expires_at: Option<UnixMillis>,
}

/// The prefixes of issued keys: 1–16 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes {
    /// The prefix of new secret keys.
    pub current: String,
    /// Accepted, but not used for new keys.
    pub retired: Vec<String>,
    /// The prefix of new public keys; `None` = public keys cannot be issued.
    pub public_current: Option<String>,
    /// Accepted, but not used for new keys.
    pub public_retired: Vec<String>,
}

impl Prefixes {
    /// Whether `prefix` is one of these.
    #[must_use]
    pub fn accept(&self, prefix: &[u8]) -> bool {
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
