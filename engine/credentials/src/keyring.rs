//! The secrets, prefixes and issuer with which a tenant's credentials are made and verified.

use std::fmt;

use talos_model::clock::UnixMillis;
use talos_model::{Secret, SecretFingerprint, TenantId, Visibility};
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
    /// Each with the instant from which it is refused.
    retired: Vec<(ChecksumKey, UnixMillis)>,
    root_keys: RootKeys,
    /// Of the current secret, then of the retired ones.
    fingerprints: Vec<SecretFingerprint>,
}

impl Keyring {
    /// Prepares the secrets.
    #[must_use]
    pub fn new(settings: KeyringSettings) -> Self {
        let current = ChecksumKey::new(&settings.hmac_current);
        let retired = settings.hmac_retired.iter();
        let retired = retired.map(|old| (ChecksumKey::new(&old.secret), old.accepted_until()));
        let retired: Vec<_> = retired.collect();
        let root_keys = RootKeys::expiring(
            &settings.hmac_current,
            settings
                .hmac_retired
                .iter()
                .map(|old| (&old.secret, old.accepted_until())),
        );
        let old = retired.iter().map(|(old, _)| old);
        let fingerprints = std::iter::once(&current).chain(old);
        let fingerprints = fingerprints.map(ChecksumKey::fingerprint).collect();
        Self {
            settings,
            current,
            retired,
            root_keys,
            fingerprints,
        }
    }

    /// The fingerprint of the secret that signs new keys.
    #[must_use]
    pub fn fingerprint(&self) -> SecretFingerprint {
        self.current.fingerprint()
    }

    /// The fingerprints of all secrets, the current one first.
    pub(crate) fn fingerprints(&self) -> &[SecretFingerprint] {
        &self.fingerprints
    }

    /// Whether this is the current secret or a retired one, even one that is no longer accepted.
    #[must_use]
    pub fn has(&self, secret: SecretFingerprint) -> bool {
        self.fingerprints.contains(&secret)
    }

    /// The settings that it was made of.
    #[must_use]
    pub fn settings(&self) -> &KeyringSettings {
        &self.settings
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

    /// Verifies prefix and checksum of `key`. Returns the instant from which the retired secret of
    /// its checksum is no longer accepted, or the end of time. `None` if the prefix is not accepted
    /// or no secret makes the checksum. The age of the key is not looked at. The checksum is
    /// verified even if the prefix is wrong, so that neither fault takes less time than the other.
    #[must_use]
    pub fn prove(&self, key: &IssuedKey<'_>) -> Option<UnixMillis> {
        let prefix_accepted = self.settings.prefixes.accept(key.prefix);
        let signed = if key.is_signed_by(&self.current) {
            Some(UnixMillis(i64::MAX))
        } else {
            let retired = self.retired.iter();
            let signed = retired.filter(|(retired, _)| key.is_signed_by(retired));
            signed.map(|(_, until)| *until).max()
        };
        signed.filter(|_| prefix_accepted)
    }

    /// Verifies the signature, issuer and tenant of a token. Returns its claims and the instant
    /// until which its issuer and its secret are accepted. The caller must check the validity
    /// period, audiences and addresses.
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
        let (claims, signed_until) = match shape {
            TokenShape::Jwt => {
                let claims = jwt::verify(&self.settings.tokens.signing_keys, token)?;
                (claims, UnixMillis(i64::MAX))
            }
            TokenShape::Macaroon { prefix } => {
                let macaroon = Macaroon::parse(token)?;
                // The signature does not cover the prefix, and a token can be split after more than
                // one prefix.
                if macaroon.prefix() != prefix {
                    return Err(TokenFault::InvalidFormat);
                }
                macaroon.claims_and_expiry(&self.root_keys)?
            }
        };
        if signed_until <= now {
            return Err(TokenFault::SignatureInvalid);
        }
        let accepted_until = self
            .issuer_accepted_until(&claims.issuer)
            .filter(|until| now < *until)
            .ok_or(TokenFault::ForeignIssuer)?;
        claims.check_origin(&[&claims.issuer], tenant)?;
        Ok((claims, accepted_until.min(signed_until)))
    }

    /// Whether `issuer` is the issuer, or a retired one that was accepted at some time.
    pub(crate) fn knows_issuer(&self, issuer: &str) -> bool {
        self.issuer_accepted_until(issuer).is_some()
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
    use crate::settings::{Prefixes, RetiredSecret};

    fn keyring(current: &str, retired: &[&str]) -> Keyring {
        Keyring::new(KeyringSettings {
            hmac_current: Secret::new(current.to_owned()),
            hmac_retired: retired
                .iter()
                .map(|&secret| Secret::new(secret.to_owned()).into())
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
            assert_eq!(
                rotated.prove(&key),
                proven.then_some(UnixMillis(i64::MAX)),
                "{prefix}"
            );
        }
    }

    #[test]
    fn a_retired_secret_proves_until_it_expires() {
        let rotated = |expires_at| {
            Keyring::new(KeyringSettings {
                hmac_retired: vec![RetiredSecret {
                    secret: Secret::new("a".to_owned()),
                    expires_at,
                }],
                ..keyring("b", &[]).settings
            })
        };
        let proven = |keyring: &Keyring, secret: &str| {
            let secret = ChecksumKey::new(&Secret::new(secret.to_owned()));
            let text = make("new", UnixMillis(5_000), Uuid::from_u128(1), &secret);
            keyring.prove(&IssuedKey::parse(text.expose().as_bytes()).unwrap())
        };
        for (expires_at, until) in [
            (None, i64::MAX),
            (Some(UnixMillis(60_000)), 60_000),
            (Some(UnixMillis(900_000)), 900_000),
        ] {
            let keyring = rotated(expires_at);
            assert_eq!(proven(&keyring, "a"), Some(UnixMillis(until)));
            assert_eq!(proven(&keyring, "b"), Some(UnixMillis(i64::MAX)));
            assert_eq!(proven(&keyring, "c"), None);
        }
    }

    #[test]
    fn fingerprints_identify_secrets_and_nothing_else() {
        let rotated = keyring("b", &["a"]);
        assert_eq!(rotated.fingerprint(), keyring("b", &[]).fingerprint());
        assert_ne!(rotated.fingerprint(), keyring("a", &["b"]).fingerprint());
        for (secret, known) in [("a", true), ("b", true), ("c", false)] {
            let secret = keyring(secret, &[]).fingerprint();
            assert_eq!(rotated.has(secret), known);
        }
        // Databases hold it: it may never change.
        let long = keyring("0123456789abcdef0123456789abcdef", &[]);
        assert_eq!(
            long.fingerprint().to_string(),
            "55089ca6413532564f0c60229db612b9"
        );
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
