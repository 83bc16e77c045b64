//! What the configuration says about credentials and derived tokens.

use std::sync::Arc;

use talos_model::Secret;
use talos_model::clock::UnixMillis;

use crate::macaroon_prefixes::MacaroonPrefixes;
use crate::token::SigningKeys;

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
    /// How tokens are derived from keys, and which are accepted.
    pub tokens: TokenSettings,
}

/// What the configuration says about derived tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// Issuers, besides the current one, whose tokens are accepted.
    pub issuers_retired: Vec<RetiredIssuer>,
    /// Sign and verify JSON Web Tokens.
    pub signing_keys: Arc<SigningKeys>,
    /// The `kid` of the key that signs; `None` = the first with `"use":"sig"`, else the first.
    pub signing_key_id: Option<String>,

    /// The prefixes of macaroons.
    pub macaroon_prefixes: MacaroonPrefixes,
    /// The life of a token that is derived without one, in seconds.
    pub default_ttl_s: u64,
    /// Whether a token ends with the key that it was derived from.
    pub check_parent: bool,
}

impl Default for TokenSettings {
    /// No signing keys; the rest as a configuration that says nothing.
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

/// A former issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredIssuer {
    /// What its tokens name.
    pub value: String,
    /// From this instant on its tokens are refused; `None` = they never are.
    pub expires_at: Option<UnixMillis>,
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
