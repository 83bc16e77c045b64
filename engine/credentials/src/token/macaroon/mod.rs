//! Derived tokens as macaroons: `{prefix}_v1_`, then a macaroon in version 2 of libmacaroons'
//! binary format, encoded as base64url without padding.
//!
//! ```text
//! root key     = HMAC-SHA256( key = secrets.hmac.current, "talos/macaroon/v1/root-key" )
//! derived key  = HMAC-SHA256( key = "macaroons-key-generator", root key )      as every macaroon library does
//! signature 0  = HMAC-SHA256( key = derived key, identifier )                  identifier = the claims' jti
//! signature n  = HMAC-SHA256( key = signature n-1, caveat n )                  the last one is in the token
//! ```
//!
//! The first caveat is the JSON of the claims. Only this system can make it, because it issues
//! every macaroon with one. A holder can append caveats without a secret, but cannot remove, change
//! or reorder them. `narrowing.rs` defines which caveats may be appended. The location is the
//! issuer, a hint that nothing relies on.

#[cfg(test)]
mod attacks;
mod narrowing;
#[cfg(test)]
mod vectors;
mod wire;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use narrowing::Narrowing;
use talos_model::Secret;
use talos_model::clock::UnixMillis;
use talos_model::limits::{CREDENTIAL_BYTES, MACAROON_CAVEATS};
use wire::{Packets, WireFault};

use crate::token::{Claims, MintError, TokenFault, TokenType, within_bounds};

/// Separates the root key from every other use of the secret.
const ROOT_KEY_LABEL: &[u8] = b"talos/macaroon/v1/root-key";
/// The key of libmacaroons' key derivation.
const KEY_GENERATOR: &[u8] = b"macaroons-key-generator";
/// The text between prefix and macaroon.
pub(crate) const VERSION: &str = "_v1_";
/// The longest prefix in bytes.
const PREFIX_BYTES_MAX: usize = 8;

/// The keys that make and verify macaroons.
pub struct RootKeys {
    current: RootKey,
    /// Each with the instant from which it is refused.
    retired: Vec<(RootKey, UnixMillis)>,
}

impl RootKeys {
    /// Derives the keys from the secrets. `current` makes and verifies macaroons; `retired` only
    /// verify.
    #[must_use]
    pub fn new<'a>(current: &Secret, retired: impl IntoIterator<Item = &'a Secret>) -> Self {
        let retired = retired.into_iter();
        Self::expiring(current, retired.map(|secret| (secret, ALWAYS)))
    }

    /// As [`Self::new`], with the instant from which each retired secret is refused.
    #[must_use]
    pub fn expiring<'a>(
        current: &Secret,
        retired: impl IntoIterator<Item = (&'a Secret, UnixMillis)>,
    ) -> Self {
        let retired = retired.into_iter();
        let retired = retired.map(|(secret, until)| (RootKey::from_secret(secret), until));
        Self {
            current: RootKey::from_secret(current),
            retired: retired.collect(),
        }
    }
}

impl fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootKeys(…, {} retired)", self.retired.len())
    }
}

/// No instant is later.
const ALWAYS: UnixMillis = UnixMillis(i64::MAX);

/// A root key after libmacaroons' derivation.
struct RootKey(Zeroizing<[u8; 32]>);

impl RootKey {
    fn from_secret(secret: &Secret) -> Self {
        let root_key = Zeroizing::new(hmac(secret.expose().as_bytes(), ROOT_KEY_LABEL));
        Self::new(root_key.as_slice())
    }

    fn new(root_key: &[u8]) -> Self {
        Self(Zeroizing::new(hmac(KEY_GENERATOR, root_key)))
    }

    fn chain<'a>(
        &self,
        identifier: &[u8],
        caveats: impl IntoIterator<Item = &'a Vec<u8>>,
    ) -> [u8; 32] {
        caveats
            .into_iter()
            .fold(hmac(self.0.as_slice(), identifier), |signature, caveat| {
                hmac(&signature, caveat)
            })
    }

    fn has_signed(&self, packets: &Packets) -> bool {
        let signature = self.chain(&packets.identifier, &packets.caveats);
        signature.ct_eq(&packets.signature).into()
    }
}

/// A text in the format of a macaroon. Its signature is not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macaroon {
    prefix: String,
    packets: Packets,
}

impl Macaroon {
    /// Parses `token` with any prefix.
    ///
    /// # Errors
    /// [`TokenFault::CaveatRefused`] for a macaroon with a third-party caveat,
    /// [`TokenFault::InvalidFormat`] for everything else that is not a macaroon of one to
    /// [`MACAROON_CAVEATS`] caveats.
    pub fn parse(token: &str) -> Result<Self, TokenFault> {
        if token.len() > CREDENTIAL_BYTES {
            return Err(TokenFault::InvalidFormat);
        }
        // A prefix may contain the version mark itself, but a macaroon, whose first byte is 2,
        // follows only one of the marks.
        let mut fault = TokenFault::InvalidFormat;
        for (at, _) in token.match_indices(VERSION) {
            let (prefix, body) = token.split_at(at);
            if !is_prefix(prefix) {
                continue;
            }
            let body = body.strip_prefix(VERSION).unwrap_or_default();
            let Ok(bytes) = URL_SAFE_NO_PAD.decode(body) else {
                continue;
            };
            match wire::decode(&bytes, MACAROON_CAVEATS) {
                Ok(packets) if packets.caveats.is_empty() => {}
                Ok(packets) => {
                    let prefix = prefix.to_owned();
                    return Ok(Self { prefix, packets });
                }
                Err(WireFault::ThirdParty) => fault = TokenFault::CaveatRefused,
                Err(WireFault::Malformed | WireFault::TooMany) => {}
            }
        }
        Err(fault)
    }

    /// The text before `_v1_`. No signature covers it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// A hint about the origin of the macaroon, if it has one.
    #[must_use]
    pub fn location(&self) -> Option<&[u8]> {
        self.packets.location.as_deref()
    }

    /// The identifier of the macaroon; this system uses the `jti` of the claims.
    #[must_use]
    pub fn identifier(&self) -> &[u8] {
        &self.packets.identifier
    }

    /// The caveats in order. There is at least one; the first contains the claims.
    pub fn caveats(&self) -> impl Iterator<Item = &[u8]> {
        self.packets.caveats.iter().map(Vec::as_slice)
    }

    /// Verifies the signature with one of `keys` and returns the claims, narrowed by the caveats.
    /// It always tries all keys, so that the time does not depend on which one fits. The caller
    /// must check the claims with [`Claims::check`]. Retired secrets that have expired are
    /// accepted; see [`Self::claims_and_expiry`].
    ///
    /// # Errors
    /// [`TokenFault::SignatureInvalid`], or the errors of [`Self::unverified_claims`].
    pub fn verified_claims(&self, keys: &RootKeys) -> Result<Claims, TokenFault> {
        self.claims_and_expiry(keys).map(|(claims, _)| claims)
    }

    /// As [`Self::verified_claims`], with the instant from which the secret of the signature is
    /// refused.
    ///
    /// # Errors
    /// As of [`Self::verified_claims`].
    pub fn claims_and_expiry(&self, keys: &RootKeys) -> Result<(Claims, UnixMillis), TokenFault> {
        let retired = keys.retired.iter().map(|(key, until)| (key, *until));
        let until = std::iter::once((&keys.current, ALWAYS))
            .chain(retired)
            .fold(None, |latest: Option<UnixMillis>, (key, until)| {
                let signed = key.has_signed(&self.packets);
                latest.max(signed.then_some(until))
            })
            .ok_or(TokenFault::SignatureInvalid)?;
        Ok((self.unverified_claims()?, until))
    }

    /// The claims, narrowed by the caveats. Verifies no signature.
    ///
    /// # Errors
    /// [`TokenFault::InvalidFormat`] if the first caveat does not contain the claims of this
    /// macaroon, [`TokenFault::CaveatRefused`] if a later one does not narrow them.
    pub fn unverified_claims(&self) -> Result<Claims, TokenFault> {
        let (first, appended) = self
            .packets
            .caveats
            .split_first()
            .ok_or(TokenFault::InvalidFormat)?;
        let mut claims = Claims::from_json(first, TokenType::Macaroon)?;
        if claims.token_id.as_bytes() != self.packets.identifier {
            return Err(TokenFault::InvalidFormat);
        }
        for caveat in appended {
            Narrowing::parse(caveat)?.apply(&mut claims)?;
        }
        Ok(claims)
    }

    fn to_token(&self) -> Result<String, MintError> {
        let mut token = format!("{}{VERSION}", self.prefix);
        URL_SAFE_NO_PAD.encode_string(wire::encode(&self.packets), &mut token);
        within_bounds(token)
    }
}

/// Makes a macaroon with `claims` and the prefix `prefix`.
///
/// # Errors
/// The claims exceed a limit, or the metadata is damaged.
pub fn mint(keys: &RootKeys, prefix: &str, claims: &Claims) -> Result<String, MintError> {
    let identifier = claims.token_id.clone().into_bytes();
    let caveats = vec![claims.to_json(TokenType::Macaroon)?.into_bytes()];
    let signature = keys.current.chain(&identifier, &caveats);
    let packets = Packets {
        location: Some(claims.issuer.clone().into_bytes()),
        identifier,
        caveats,
        signature,
    };
    let prefix = prefix.to_owned();
    Macaroon { prefix, packets }.to_token()
}

/// Parses `token` with any prefix and verifies it with one of `keys`; see
/// [`Macaroon::verified_claims`].
///
/// # Errors
/// [`TokenFault::InvalidFormat`], [`TokenFault::SignatureInvalid`] or
/// [`TokenFault::CaveatRefused`].
pub fn verify(keys: &RootKeys, token: &str) -> Result<Claims, TokenFault> {
    Macaroon::parse(token)?.verified_claims(keys)
}

/// Appends a caveat to `token`. This needs no secret, so every holder of a macaroon can do it.
///
/// # Errors
/// [`MintError::NotAMacaroon`]; [`MintError::NotNarrowing`] if verification would refuse the
/// caveat; [`MintError::BeyondBounds`] or [`MintError::TooLong`] if there are too many.
pub fn attenuate(token: &str, narrowing: &Narrowing) -> Result<String, MintError> {
    let mut macaroon = Macaroon::parse(token).map_err(|_| MintError::NotAMacaroon)?;
    let mut claims = macaroon
        .unverified_claims()
        .map_err(|_| MintError::NotAMacaroon)?;
    // Parsed again, because the limits apply to the text.
    let caveat = narrowing.to_json().into_bytes();
    Narrowing::parse(&caveat)
        .and_then(|caveat| caveat.apply(&mut claims))
        .map_err(|_| MintError::NotNarrowing)?;
    if macaroon.packets.caveats.len() >= MACAROON_CAVEATS {
        return Err(MintError::BeyondBounds);
    }
    macaroon.packets.signature = hmac(&macaroon.packets.signature, &caveat);
    macaroon.packets.caveats.push(caveat);
    macaroon.to_token()
}

/// Whether `text` is a valid prefix: 1–8 characters of `[A-Za-z0-9_]`.
fn is_prefix(text: &str) -> bool {
    matches!(text.len(), 1..=PREFIX_BYTES_MAX)
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    // HMAC accepts keys of every length (RFC 2104 §2). The error branch, an empty key, is
    // unreachable.
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into()
}
