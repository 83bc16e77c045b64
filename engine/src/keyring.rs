//! The secrets and names by which credentials of one tenant are made and recognised.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::credential::issued::{ChecksumKey, IssuedKey, make};
use crate::credential::shape::TokenShape;
use crate::ids::TenantId;
use crate::record::Visibility;
use crate::secret::Secret;
use crate::token::{
    Claims, Macaroon, MintError, NoSuchKey, RootKeys, SigningKeys, TokenFault, TokenType, jwt,
    macaroon,
};

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

/// The prefixes of macaroons: 1–8 characters of `[A-Za-z0-9_]`.
#[derive(Clone, Debug)]
pub struct MacaroonPrefixes {
    /// For new macaroons.
    pub current: String,
    /// Still accepted.
    pub retired: Vec<String>,
}

impl Default for MacaroonPrefixes {
    fn default() -> Self {
        Self {
            current: "mc".to_owned(),
            retired: Vec::new(),
        }
    }
}

impl MacaroonPrefixes {
    /// The prefix of `credential`, if it is one of these: the longest, because one may begin with another.
    #[must_use]
    pub fn of(&self, credential: &[u8]) -> Option<&str> {
        let leads = |prefix: &&String| {
            credential
                .strip_prefix(prefix.as_bytes())
                .is_some_and(|rest| rest.starts_with(macaroon::VERSION.as_bytes()))
        };
        std::iter::once(&self.current)
            .chain(&self.retired)
            .filter(leads)
            .max_by_key(|prefix| prefix.len())
            .map(String::as_str)
    }

    /// Whether one of these takes the credentials that begin with `prefix` of issued keys, so that the two cannot be told
    /// apart.
    #[must_use]
    pub fn shadow(&self, prefix: &str) -> bool {
        let key = format!("{prefix}{}", macaroon::VERSION);
        self.of(key.as_bytes()).is_some()
    }
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
    root_keys: RootKeys,
}

impl Keyring {
    /// Prepares the secrets.
    #[must_use]
    pub fn new(settings: KeyringSettings) -> Self {
        let current = ChecksumKey::new(&settings.hmac_current);
        let retired = settings.hmac_retired.iter().map(ChecksumKey::new).collect();
        let root_keys = RootKeys::new(&settings.hmac_current, &settings.hmac_retired);
        Self {
            settings,
            current,
            retired,
            root_keys,
        }
    }

    /// Named in every valid answer.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The greatest age of an issued key in seconds.
    pub(crate) fn max_ttl_s(&self) -> u64 {
        self.settings.max_ttl_s
    }

    /// How far clocks may differ, in seconds.
    pub(crate) fn clock_skew_s(&self) -> u64 {
        self.settings.clock_skew_s
    }

    /// What is configured about derived tokens.
    #[must_use]
    pub fn tokens(&self) -> &TokenSettings {
        &self.settings.tokens
    }

    /// The credential of a new key, or `None` when it is to be public and no prefix for public keys is set.
    #[must_use]
    pub fn make(
        &self,
        visibility: Visibility,
        issue_time: UnixMillis,
        uuid: Uuid,
    ) -> Option<Secret> {
        let prefix = self.prefix(visibility)?;
        Some(make(prefix, issue_time, uuid, &self.current))
    }

    /// The prefix of a new key; `None` when it is to be public and no prefix for public keys is set.
    #[must_use]
    pub fn prefix(&self, visibility: Visibility) -> Option<&str> {
        let prefixes = &self.settings.prefixes;
        match visibility {
            Visibility::Secret => Some(&prefixes.current),
            Visibility::Public => prefixes.public_current.as_deref(),
        }
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

    /// The claims of a token of `tenant` whose signature holds and whose issuer is accepted at `now`, and until when it
    /// is. The token's own window of time, audience and addresses are still to be judged.
    pub(crate) fn prove_token(
        &self,
        shape: TokenShape<'_>,
        token: &[u8],
        tenant: TenantId,
        now: UnixMillis,
    ) -> Result<(Claims, UnixMillis), TokenFault> {
        #[cfg(test)]
        tests::SIGNATURE_CHECKS.with(|checks| checks.set(checks.get() + 1));
        let token = std::str::from_utf8(token).map_err(|_| TokenFault::InvalidFormat)?;
        let claims = match shape {
            TokenShape::Jwt => jwt::verify(&self.settings.tokens.signing_keys, token)?,
            TokenShape::Macaroon { prefix } => {
                let macaroon = Macaroon::parse(token)?;
                // The signature does not cover the prefix, and a prefix may be found at more than one place.
                if macaroon.prefix() != prefix {
                    return Err(TokenFault::InvalidFormat);
                }
                macaroon.verified_claims(&self.root_keys)?
            }
        };
        let accepted_until = self
            .issuer_accepted_until(&claims.issuer)
            .filter(|until| now < *until)
            .ok_or(TokenFault::ForeignIssuer)?;
        claims.check_origin(&[&claims.issuer], tenant)?;
        Ok((claims, accepted_until))
    }

    /// Until when tokens that name `issuer` are accepted; `None` = they never were.
    fn issuer_accepted_until(&self, issuer: &str) -> Option<UnixMillis> {
        let always = UnixMillis(i64::MAX);
        let retired = &self.settings.tokens.issuers_retired;
        let retired = retired
            .iter()
            .map(|retired| (&retired.value, retired.expires_at.unwrap_or(always)));
        std::iter::once((&self.settings.issuer, always))
            .chain(retired)
            .filter(|(known, _)| *known == issuer)
            .map(|(_, until)| until)
            .max()
    }

    /// The token of type `token_type` that says `claims`.
    pub(crate) fn mint(
        &self,
        token_type: TokenType,
        claims: &Claims,
    ) -> Result<String, CannotMint> {
        let tokens = &self.settings.tokens;
        Ok(match token_type {
            TokenType::Jwt => {
                let key = tokens
                    .signing_keys
                    .signing_key(tokens.signing_key_id.as_deref())?;
                jwt::sign(key, claims)?
            }
            TokenType::Macaroon => {
                macaroon::mint(&self.root_keys, &tokens.macaroon_prefixes.current, claims)?
            }
        })
    }
}

/// Why no token was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotMint {
    /// For the operator: no key signs.
    #[error(transparent)]
    Key(#[from] NoSuchKey),
    /// See [`MintError`].
    #[error(transparent)]
    Mint(#[from] MintError),
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// How many tokens this thread has looked at closely.
        pub(crate) static SIGNATURE_CHECKS: Cell<u64> = const { Cell::new(0) };
    }

    #[test]
    fn prefixes_of_macaroons() {
        let prefixes = MacaroonPrefixes {
            current: "mc".to_owned(),
            retired: vec!["old".to_owned(), "mc_v1_x".to_owned()],
        };
        for (credential, prefix) in [
            ("mc_v1_AgEB", Some("mc")),
            ("mc_v1_", Some("mc")),
            ("old_v1_AgEB", Some("old")),
            ("mc_v1_x_v1_AgEB", Some("mc_v1_x")),
            ("mc_v1_x_v2_AgEB", Some("mc")),
            ("mc_v2_AgEB", None),
            ("mcx_v1_AgEB", None),
            ("MC_v1_AgEB", None),
            ("xmc_v1_AgEB", None),
            ("", None),
        ] {
            assert_eq!(prefixes.of(credential.as_bytes()), prefix, "{credential}");
        }
        for (prefix, shadowed) in [
            ("mc", true),
            ("mc_v1_y", true),
            ("mcx", false),
            ("m", false),
        ] {
            assert_eq!(prefixes.shadow(prefix), shadowed, "{prefix}");
        }
    }

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
            tokens: TokenSettings::default(),
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
