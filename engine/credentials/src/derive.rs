//! Derives a token from a key: a pure function of keyring, record, request and time.
//!
//! Guarantees: a token allows no more than its key did when the token was derived, and never
//! outlives the key's expiry.

use std::net::IpAddr;

use talos_model::clock::UnixMillis;
use talos_model::{Record, Secret, Status, cidr};
use uuid::Uuid;

use crate::keyring::{CannotMint, Keyring};
use crate::token::{Claims, CustomClaims, TokenType};

/// A request for a token.
#[derive(Clone, Debug)]
pub struct DeriveToken {
    /// Its format.
    pub token_type: TokenType,
    /// Its lifetime in milliseconds. `None` = the configured default, or the rest of the key's
    /// lifetime if that is shorter.
    pub ttl_ms: Option<u64>,
    /// Its scopes; empty = all scopes of the key.
    pub scopes: Vec<String>,
    /// Its audiences; may be empty.
    pub audiences: Vec<String>,
    /// Further claims.
    pub custom: CustomClaims,
}

/// A derived token, which is never shown again.
#[derive(Clone, Debug)]
pub struct DerivedToken {
    /// The token.
    pub token: Secret,
    /// The claims of the token.
    pub claims: Claims,
    /// The claims as the JSON object that the token contains.
    pub claims_json: String,
}

/// Why no token was derived, and what the caller can change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// The tenant was removed while the request was on its way.
    #[error("no such tenant")]
    NoTenant,
    /// Use another key.
    #[error("the API key is revoked")]
    ParentRevoked,
    /// Use another key.
    #[error("the API key has expired")]
    ParentExpired,
    /// Use the key from another address.
    #[error("the API key may not be used from this address")]
    AddressNotAllowed,
    /// Request fewer scopes.
    #[error("the API key does not have the scope {0:?}")]
    ScopeBeyondParent(String),
    /// Request a shorter lifetime.
    #[error("the token would outlive the API key, which has {left_s} seconds left")]
    TtlBeyondParent {
        /// Whole seconds until the key expires.
        left_s: i64,
    },
    /// Request a shorter lifetime.
    #[error("a token may live for {max_s} seconds at most")]
    TtlBeyondMax {
        /// The longest lifetime in seconds.
        max_s: u64,
    },
    /// The keyring could not mint the token.
    #[error(transparent)]
    Mint(#[from] CannotMint),
}

/// Derives the token with the id `token_id` from `parent`, for a client at `client_ip`, at `now`.
///
/// # Errors
/// The first failed check, in the order of [`DeriveError`]; never [`DeriveError::NoTenant`].
pub fn derive(
    keyring: &Keyring,
    parent: &Record,
    wanted: DeriveToken,
    client_ip: Option<IpAddr>,
    now: UnixMillis,
    token_id: Uuid,
) -> Result<DerivedToken, DeriveError> {
    match parent.status(now) {
        Status::Revoked => return Err(DeriveError::ParentRevoked),
        Status::Expired => return Err(DeriveError::ParentExpired),
        Status::Active => {}
    }
    if !cidr::allow(&parent.allowed_cidrs, client_ip) {
        return Err(DeriveError::AddressNotAllowed);
    }
    let beyond = |scope: &&String| !parent.scopes.contains(scope);
    if let Some(scope) = wanted.scopes.iter().find(beyond) {
        return Err(DeriveError::ScopeBeyondParent(scope.clone()));
    }
    let scopes = if wanted.scopes.is_empty() {
        parent.scopes.clone()
    } else {
        wanted.scopes
    };
    let claims = Claims {
        issuer: keyring.issuer().to_owned(),
        key_id: parent.key_id,
        issued_at_s: now.seconds(),
        not_before_s: now.seconds(),
        expires_at_s: expires_at(keyring, parent, wanted.ttl_ms, now)?.seconds(),
        token_id: token_id.to_string(),
        tenant: parent.tenant,
        actor_id: parent.actor_id.clone(),
        scopes,
        metadata: parent.metadata.clone(),
        visibility: parent.visibility,
        allowed_cidrs: parent.allowed_cidrs.clone(),
        audiences: wanted.audiences,
        custom: wanted.custom,
    };
    let token = keyring.mint(wanted.token_type, &claims)?;
    let claims_json = claims
        .to_json(wanted.token_type)
        .map_err(CannotMint::from)?;
    Ok(DerivedToken {
        token: Secret::new(token),
        claims,
        claims_json,
    })
}

/// When the token expires. The caller rounds down to whole seconds, in which tokens count: a token
/// may expire up to a second early, but never late.
fn expires_at(
    keyring: &Keyring,
    parent: &Record,
    ttl_ms: Option<u64>,
    now: UnixMillis,
) -> Result<UnixMillis, DeriveError> {
    let end = parent.end_of_life(keyring.max_ttl_s());
    let end = end.unwrap_or(UnixMillis(i64::MAX));
    if end <= now {
        return Err(DeriveError::ParentExpired);
    }
    let max_s = keyring.max_ttl_s();
    let after = |ttl_ms: u64| UnixMillis(now.0.saturating_add_unsigned(ttl_ms));
    let expires_at = match ttl_ms {
        Some(ttl_ms) if ttl_ms > max_s.saturating_mul(1000) => {
            return Err(DeriveError::TtlBeyondMax { max_s });
        }
        Some(ttl_ms) if after(ttl_ms) > end => {
            let left_s = end.0.saturating_sub(now.0) / 1000;
            return Err(DeriveError::TtlBeyondParent { left_s });
        }
        Some(ttl_ms) => after(ttl_ms),
        None => {
            let default_s = keyring.tokens().default_ttl_s.min(max_s);
            now.plus_seconds(default_s).min(end)
        }
    };
    // The key may expire within the current second, which is too short for a token.
    if expires_at.seconds().saturating_mul(1000) <= now.0 {
        return Err(DeriveError::ParentExpired);
    }
    Ok(expires_at)
}
