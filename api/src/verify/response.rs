//! The bodies for accepted credentials.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use talos_credentials::token::Claims;
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Record, Status};

use crate::key::Policy;
use crate::names::{KeyStatus, KeyVisibility, Named};
use crate::render::{self, as_text, verbatim};
use crate::schema::{FreeObject, Timestamp};
use crate::timestamp;

/// The body for the credential of `record`. It depends only on the record and on
/// `issuer`, so the engine makes it once per change of the record. API keys name no audiences.
#[must_use]
pub fn render_valid(record: &Record, issuer: &str) -> Vec<u8> {
    render::json(&Accepted {
        is_valid: true,
        is_active: true,
        status: Named(Status::Active),
        key_id: record.key_id,
        actor_id: &record.actor_id,
        scopes: &record.scopes,
        metadata: verbatim(&record.metadata),
        visibility: Named(record.visibility),
        issuer,
        audiences: None,
        expire_time: record.expire_time.map(timestamp::format),
        rate_limit_policy: record.rate_limit.map(Policy::from),
    })
}

/// The body for a derived token. It depends only on the token.
#[must_use]
pub fn render_valid_token(claims: &Claims) -> Vec<u8> {
    let expires_at_ms = claims.expires_at_s.saturating_mul(1000);
    render::json(&Accepted {
        is_valid: true,
        is_active: true,
        status: Named(Status::Active),
        key_id: claims.key_id,
        actor_id: &claims.actor_id,
        scopes: &claims.scopes,
        metadata: verbatim(&claims.metadata),
        visibility: Named(claims.visibility),
        issuer: &claims.issuer,
        audiences: Some(&claims.audiences),
        expire_time: Some(timestamp::format(UnixMillis(expires_at_ms))),
        rate_limit_policy: None,
    })
}

#[derive(Serialize, JsonSchema)]
pub(crate) struct Accepted<'a> {
    /// Whether the credential is valid.
    is_valid: bool,
    /// An older name of `is_valid`.
    is_active: bool,
    /// The state of the key.
    status: Named<KeyStatus>,
    /// The id of the key.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "&str")]
    key_id: KeyId,
    /// The owner of the key.
    actor_id: &'a str,
    /// What the credential may do.
    scopes: &'a [String],
    /// What the issuer keeps with the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FreeObject>")]
    metadata: Option<&'a RawValue>,
    /// Whether the key may be shown to clients.
    visibility: Named<KeyVisibility>,
    /// The issuer of the credential.
    issuer: &'a str,
    /// The audiences of a derived token; API keys have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    audiences: Option<&'a [String]>,
    /// From this instant on the credential is expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    expire_time: Option<String>,
    /// How often the key may be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<Policy>,
}

#[cfg(test)]
mod tests;
