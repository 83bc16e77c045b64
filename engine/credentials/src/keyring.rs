//! The secrets, prefixes and issuer with which a tenant's credentials are made and verified.

use std::fmt;

use talos_model::clock::UnixMillis;
use talos_model::{Secret, TenantId, Visibility};
use uuid::Uuid;

use crate::issued::{ChecksumKey, IssuedKey, make};
use crate::settings::{KeyringSettings, TokenSettings};
use crate::shape::TokenShape;
use crate::token::{
    Claims, Macaroon, MintError, NoSuchKey, RootKeys, TokenFault, TokenType, jwt, macaroon,
};

/// Prepared secrets and prefixes.
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

    /// The issuer in every valid answer and in new tokens.
    #[inline]
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The greatest age of an issued key in seconds.
    #[inline]
    #[must_use]
    pub fn max_ttl_s(&self) -> u64 {
        self.settings.max_ttl_s
    }

    /// The tolerated difference between clocks, in seconds.
    #[inline]
    #[must_use]
    pub fn clock_skew_s(&self) -> u64 {
        self.settings.clock_skew_s
    }

    /// The settings of derived tokens.
    #[inline]
    #[must_use]
    pub fn tokens(&self) -> &TokenSettings {
        &self.settings.tokens
    }

    /// Makes the credential of a new key. `None` if the key is public and no prefix for public keys
    /// is configured.
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

    /// The prefix of a new key. `None` if the key is public and no prefix for public keys is
    /// configured.
    #[must_use]
    pub fn prefix(&self, visibility: Visibility) -> Option<&str> {
        let prefixes = &self.settings.prefixes;
        match visibility {
            Visibility::Secret => Some(&prefixes.current),
            Visibility::Public => prefixes.public_current.as_deref(),
        }
    }

    /// Whether the prefix of `key` is accepted and one of the secrets makes its checksum. The age of
    /// the key is not looked at. The checksum is verified even if the prefix is wrong, so that
    /// neither fault takes less time than the other.
    #[must_use]
    pub fn prove(&self, key: &IssuedKey<'_>) -> bool {
        let prefix_accepted = self.settings.prefixes.accept(key.prefix);
        let signed = key.is_signed_by(&self.current)
            || self.retired.iter().any(|retired| key.is_signed_by(retired));
        prefix_accepted && signed
    }

    /// Verifies the signature, issuer and tenant of a token. Returns its claims and the instant
    /// until which its issuer is accepted. The caller must check the validity period, audiences and
    /// addresses.
    ///
    /// # Errors
    /// The token is malformed, its signature is wrong, or its issuer or tenant is not accepted.
    pub fn prove_token(
        &self,
        shape: TokenShape<'_>,
        token: &[u8],
        tenant: TenantId,
        now: UnixMillis,
    ) -> Result<(Claims, UnixMillis), TokenFault> {
        let token = std::str::from_utf8(token).map_err(|_| TokenFault::InvalidFormat)?;
        let claims = match shape {
            TokenShape::Jwt => jwt::verify(&self.settings.tokens.signing_keys, token)?,
            TokenShape::Macaroon { prefix } => {
                let macaroon = Macaroon::parse(token)?;
                // The signature does not cover the prefix, and a token can be split after more than
                // one prefix.
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

    /// Until when tokens of `issuer` are accepted; `None` = the issuer is unknown.
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

    /// Makes a token of type `token_type` with `claims`.
    ///
    /// # Errors
    /// No key can sign, or the token would exceed a limit.
    pub fn mint(&self, token_type: TokenType, claims: &Claims) -> Result<String, CannotMint> {
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
    /// No key can sign. An operator must correct the configuration.
    #[error(transparent)]
    Key(#[from] NoSuchKey),
    /// The claims cannot become a token.
    #[error(transparent)]
    Mint(#[from] MintError),
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Prefixes;

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
        let rotated = keyring("b", &["a"]);
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
            assert_eq!(rotated.prove(&key), proven, "{prefix}");
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
