//! Derived tokens: short-lived credentials that contain a part of the authority of an API key.
//!
//! Formats and cryptography only, as pure functions: no clock, no storage, no settings. The caller
//! checks whether the parent key is still valid and whether the client's address and the audience
//! are allowed.
//!
//! Guarantees of both formats:
//! 1. No claim is trusted before the signature is verified. The algorithm follows from the key
//!    alone.
//! 2. A token has one spelling: trailing bytes, padding, unused bits, duplicate names and overlong
//!    numbers are refused.
//! 3. The cost of a token is limited before it is parsed: by [`CREDENTIAL_BYTES`] and the limits
//!    named `TOKEN_…` and `MACAROON_…` in [`talos_model::limits`].

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

/// Why a token is refused. The message is for logs; clients get the [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not a token, or not one in the form that this system writes.
    #[error("the token is malformed")]
    InvalidFormat,
    /// It names a signing key that is not configured.
    #[error("the token names an unknown signing key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature of the token does not fit")]
    SignatureInvalid,
    /// A caveat is unknown, malformed, for a third party, or would widen what the macaroon allows.
    #[error("a caveat of the macaroon is refused")]
    CaveatRefused,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The issuer is not accepted.
    #[error("the token is of another issuer")]
    ForeignIssuer,
    /// The token belongs to another tenant.
    #[error("the token is of another tenant")]
    ForeignTenant,
}

impl TokenFault {
    /// What the client sees. A token of another tenant or issuer looks as if it did not exist.
    /// There is no code for a token that is not valid yet; `Expired` comes nearest, because both
    /// are outside of the validity period.
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
    /// The token is too long. The caller must use fewer or shorter claims, scopes or caveats.
    #[error("the token would have {bytes} bytes; at most {CREDENTIAL_BYTES} are allowed")]
    TooLong {
        /// The length of the token with its prefix, in bytes.
        bytes: usize,
    },
    /// There are too many caveats, or the claims exceed a limit. The caller must use fewer.
    #[error(
        "the token would not be accepted: too many caveats, scopes, addresses or audiences, or a time beyond the year 9999"
    )]
    BeyondBounds,
    /// The caveat is empty, or names scopes or addresses beyond what the macaroon allows. The
    /// caller must change it.
    #[error("the caveat does not narrow what the macaroon allows")]
    NotNarrowing,
    /// The caller's token is not a macaroon.
    #[error("not a macaroon of this system")]
    NotAMacaroon,
    /// The record of the key is damaged. An operator must act.
    #[error("the metadata of the key is not a JSON object")]
    Metadata,
    /// The signing key did not sign. An operator must act.
    #[error("the signing key cannot sign")]
    Key,
}

/// Returns `token`, unless it is longer than a credential may be.
fn within_bounds(token: String) -> Result<String, MintError> {
    match token.len() {
        0..=CREDENTIAL_BYTES => Ok(token),
        bytes => Err(MintError::TooLong { bytes }),
    }
}
