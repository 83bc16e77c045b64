//! Deriving a token from a key: a pure function of keyring, record, what is asked for, and the time.
//!
//! Guarantees: a token never allows more than its key does at that moment, and never outlives it.

use std::net::IpAddr;

use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Record, Secret, Status, cidr};
use uuid::Uuid;

use crate::keyring::{CannotMint, Keyring};
use crate::token::{Claims, CustomClaims, TokenType};

/// What the token is to be.
#[derive(Clone, Debug)]
pub struct DeriveToken {
    /// Its format.
    pub token_type: TokenType,
    /// Its life in milliseconds; `None` = as configured, or what is left of the key's if that is less.
    pub ttl_ms: Option<u64>,
    /// What it allows; none = all that the key allows.
    pub scopes: Vec<String>,
    /// Whom it is meant for; none = nobody in particular.
    pub audiences: Vec<String>,
    /// What else it says.
    pub custom: CustomClaims,
}

/// A token, shown this once.
#[derive(Clone, Debug)]
pub struct DerivedToken {
    /// The token.
    pub token: Secret,
    /// What it says.
    pub claims: Claims,
    /// The same as the JSON object that the token carries.
    pub claims_json: String,
}

/// Why no token was derived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeriveError {
    /// For the caller: another key.
    #[error("the API key is revoked")]
    ParentRevoked,
    /// For the caller: another key.
    #[error("the API key has expired")]
    ParentExpired,
    /// For the caller: another place.
    #[error("the API key may not be used from this address")]
    AddressNotAllowed,
    /// For the caller: fewer scopes.
    #[error("the API key does not have the scope {0:?}")]
    ScopeBeyondParent(String),
    /// For the caller: a shorter life.
    #[error("the token would outlive the API key, which has {left_s} seconds left")]
    TtlBeyondParent {
        /// Whole seconds that are left of the key's life.
        left_s: i64,
    },
    /// For the caller: a shorter life.
    #[error("a token may live for {max_s} seconds at most")]
    TtlBeyondMax {
        /// The bound in seconds.
        max_s: u64,
    },
    /// See [`CannotMint`].
    #[error(transparent)]
    Mint(#[from] CannotMint),
}

/// The token named `token_id` that a client at `client_ip` derives from `parent` at `now`.
///
/// # Errors
/// The first reason that stands against it, in the order of [`DeriveError`].
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

/// When the token ends. Tokens count whole seconds, so it is rounded down: a token may end up to a second early, never late.
fn expires_at(
    keyring: &Keyring,
    parent: &Record,
    ttl_ms: Option<u64>,
    now: UnixMillis,
) -> Result<UnixMillis, DeriveError> {
    let end = end_of_life(keyring, parent);
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
    // What is left of the key may be less than tokens can count.
    if expires_at.seconds().saturating_mul(1000) <= now.0 {
        return Err(DeriveError::ParentExpired);
    }
    Ok(expires_at)
}

/// When the key ends: an issued one also by its age.
fn end_of_life(keyring: &Keyring, parent: &Record) -> UnixMillis {
    let never = UnixMillis(i64::MAX);
    let by_age = match parent.key_id {
        KeyId::Issued(_) => parent.create_time.plus_seconds(keyring.max_ttl_s()),
        KeyId::Imported(_) => never,
    };
    parent.expire_time.unwrap_or(never).min(by_age)
}
