//! Issuing a key: `POST /v2alpha1/admin/issuedApiKeys`.

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::clock::UnixMillis;
use talos_model::{IssueKey, Record, RequestId, Secret, TenantId};

use crate::error::ApiError;
use crate::json::{self, Fields, Object};
use crate::key::{IssuedApiKey, Resource};
use crate::key_tables::{
    ACTOR_ID, IP_RESTRICTION, METADATA, NAME, RATE_LIMIT_POLICY, REQUEST_ID, SCOPES, TTL,
    VISIBILITY,
};
use crate::{key_fields, limits, render};

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "IssueApiKeyRequest",
    about: "A key to issue.",
    fields: &[
        NAME.required(),
        ACTOR_ID.required(),
        SCOPES,
        METADATA,
        VISIBILITY,
        TTL,
        RATE_LIMIT_POLICY,
        IP_RESTRICTION,
        REQUEST_ID,
    ],
};

/// Reads the request into a command of `tenant`. A key without a `ttl` gets `default_ttl_ms`, and
/// lives forever if that is `None`.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_request(
    body: &[u8],
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
) -> Result<IssueKey, ApiError> {
    parse_fields(&mut json::parse(body, &REQUEST)?, tenant, default_ttl_ms)
}

/// Reads the fields of one object. Imported keys have them, too.
pub(crate) fn parse_fields(
    fields: &mut Fields<'_>,
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
) -> Result<IssueKey, ApiError> {
    let identity = Identity {
        name: key_fields::required(fields, NAME, limits::NAME_CHARS)?,
        actor_id: key_fields::required(fields, ACTOR_ID, limits::ACTOR_ID_CHARS)?,
        scopes: key_fields::scopes(fields, SCOPES)?,
    };
    parse_rest(fields, identity, tenant, default_ttl_ms)
}

/// The fields that the short route reads differently.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) actor_id: String,
    pub(crate) scopes: Vec<String>,
}

/// Reads the fields besides the `identity`.
pub(crate) fn parse_rest(
    fields: &mut Fields<'_>,
    identity: Identity,
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
) -> Result<IssueKey, ApiError> {
    let ttl_ms = key_fields::ttl_ms(fields)?;
    let mut key = IssueKey {
        tenant,
        name: identity.name,
        actor_id: identity.actor_id,
        scopes: identity.scopes,
        metadata: key_fields::metadata(fields)?,
        visibility: key_fields::visibility(fields)?,
        ttl_ms: ttl_ms.or(default_ttl_ms),
        rate_limit: key_fields::rate_limit(fields)?,
        allowed_cidrs: key_fields::allowed_cidrs(fields)?,
        request_id: None,
    };
    if let Some(id) = key_fields::request_id(fields)? {
        let digest = key.request_digest(ttl_ms);
        key.request_id = Some(RequestId { id, digest });
    }
    Ok(key)
}

/// The answer: the key and its secret. `secret` is `None` when a repeated `request_id` returns an
/// earlier key.
#[must_use]
pub fn render_response(record: &Record, secret: Option<&Secret>, now: UnixMillis) -> Vec<u8> {
    render::json(&Issued {
        issued_api_key: Resource::new(record, now),
        secret: secret.map(Secret::expose),
    })
}

/// A key that was issued.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssueApiKeyResponse")]
pub(crate) struct Issued<'a> {
    /// The key.
    #[schemars(with = "IssuedApiKey")]
    issued_api_key: Resource<'a>,
    /// The credential, shown only once; absent when a repeated `request_id` returns an earlier key
    /// whose secret was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[cfg(test)]
mod tests;
