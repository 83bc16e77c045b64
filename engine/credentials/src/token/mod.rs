//! Derived tokens: short-lived children of an API key that carry a part of its authority in themselves.
//!
//! Formats and cryptography only, as functions of their arguments: no clock, no storage, no settings. Whether the parent is
//! still in force, whether the client's address and the audience fit, is for the caller to ask.
//!
//! What holds for both formats:
//! 1. Nothing of a token is believed before its signature is proven, and how it is proven follows from the key alone.
//! 2. A token has one spelling: trailing bytes, padding, unused bits, duplicate names and overlong numbers are refused.
//! 3. What a token can cost is bounded before it is looked at: [`CREDENTIAL_BYTES`] and the bounds named `TOKEN_…` and
//!    `MACAROON_…` in [`crate::limits`].

pub mod claims;
mod claims_json;
mod json;
pub mod jwk;
mod jws;
pub mod jwt;
mod key;
pub mod macaroon;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod vectors;

pub use claims::{Claims, CustomClaims, TokenType};
pub use jwk::{InvalidSigningKeys, KeyProblem, NoSuchKey, SigningKey, SigningKeys};
pub use jwt::Jwt;
pub use key::Algorithm;
pub use macaroon::{Macaroon, Narrowing, RootKeys};

use talos_model::Refusal;
use talos_model::limits::CREDENTIAL_BYTES;

/// Why a token is refused. The text is for logs; clients get the [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not a token, or not one that this system writes.
    #[error("the token is malformed")]
    InvalidFormat,
    /// It names a signing key that is not configured.
    #[error("the token names an unknown signing key")]
    UnknownKey,
    /// The signature was not made with the key over these bytes.
    #[error("the signature of the token does not fit")]
    SignatureInvalid,
    /// A caveat that is unknown, malformed, for a third party, or that would widen what the macaroon allows.
    #[error("a caveat of the macaroon is refused")]
    CaveatRefused,
    /// Its time has passed.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Somebody else issued it.
    #[error("the token is of another issuer")]
    ForeignIssuer,
    /// It belongs to another tenant.
    #[error("the token is of another tenant")]
    ForeignTenant,
}

impl TokenFault {
    /// What a client is told. A token of another tenant or issuer is one that does not exist; for a token whose time has
    /// not come there is no code of its own, and `Expired` says the nearest: outside of its time.
    #[must_use]
    pub fn refusal(self) -> Refusal {
        match self {
            Self::InvalidFormat | Self::CaveatRefused => Refusal::InvalidFormat,
            Self::UnknownKey | Self::SignatureInvalid => Refusal::SignatureInvalid,
            Self::Expired | Self::NotYetValid => Refusal::Expired,
            Self::ForeignIssuer | Self::ForeignTenant => Refusal::NotFound,
        }
    }
}

/// Why a token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// For the caller: fewer or shorter claims, scopes or caveats.
    #[error("the token would have {bytes} bytes; at most {CREDENTIAL_BYTES} are allowed")]
    TooLong {
        /// Bytes of the token with its prefix.
        bytes: usize,
    },
    /// For the caller: a macaroon takes only so many caveats, or the claims exceed a bound of theirs.
    #[error(
        "the token would not be accepted: too many caveats, scopes, addresses or audiences, or a time beyond the year 9999"
    )]
    BeyondBounds,
    /// For the caller: a caveat must narrow what the macaroon allows, and say something.
    #[error("the caveat does not narrow what the macaroon allows")]
    NotNarrowing,
    /// For the caller: what is to be narrowed is not a macaroon.
    #[error("not a macaroon of this system")]
    NotAMacaroon,
    /// For the operator: the record of the key is damaged.
    #[error("the metadata of the key is not a JSON object")]
    Metadata,
    /// For the operator: the signing key did not sign.
    #[error("the signing key cannot sign")]
    Key,
}

/// The finished text, unless it is too long to be accepted again.
fn within_bounds(token: String) -> Result<String, MintError> {
    match token.len() {
        0..=CREDENTIAL_BYTES => Ok(token),
        bytes => Err(MintError::TooLong { bytes }),
    }
}
