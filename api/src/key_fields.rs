//! The fields of a key as requests give them. Each reader checks the limits of its field.

use std::borrow::Cow;
use std::time::Duration;

use talos_model::cidr::Cidr;
use talos_model::{RateLimitPolicy, RevocationReason, Visibility, duration};

use crate::error::ApiError;
use crate::json::{Field, Fields};
use crate::key_tables::{
    ALLOWED_CIDRS, CREDENTIAL, IP_RESTRICTION, METADATA, PERMISSIONS, QUOTA, RATE_LIMIT_POLICY,
    REASON, REQUEST_ID, SCOPES, TTL, UNIT, VISIBILITY, WINDOW,
};
use crate::{limits, names};

/// A text of 1 to `max_chars` characters.
pub(crate) fn required(
    fields: &mut Fields<'_>,
    field: Field,
    max_chars: usize,
) -> Result<String, ApiError> {
    let text = fields.text(field)?.unwrap_or_default();
    if text.is_empty() {
        return Err(fields.invalid(field, "is required and must not be empty"));
    }
    check_chars(fields, field, &text, max_chars)?;
    Ok(text.into_owned())
}

/// A text of 1 to `max_chars` characters; `None` when it is unset or empty.
pub(crate) fn optional(
    fields: &mut Fields<'_>,
    field: Field,
    max_chars: usize,
) -> Result<Option<String>, ApiError> {
    let text = fields.text(field)?.unwrap_or_default();
    check_chars(fields, field, &text, max_chars)?;
    Ok((!text.is_empty()).then(|| text.into_owned()))
}

fn check_chars(fields: &Fields<'_>, field: Field, text: &str, max: usize) -> Result<(), ApiError> {
    if text.chars().count() > max {
        return Err(fields.invalid(field, &too_many_chars(max)).limit(max));
    }
    Ok(())
}

fn too_many_chars(max: usize) -> String {
    format!("must have at most {max} characters")
}

fn too_many_bytes(max: usize) -> String {
    format!("must have at most {max} bytes")
}

fn too_many_entries(max: usize) -> String {
    format!("must have at most {max} entries")
}

/// The credential: 1 to [`limits::CREDENTIAL_BYTES`] bytes.
pub(crate) fn credential<'a>(fields: &mut Fields<'a>) -> Result<Cow<'a, str>, ApiError> {
    let credential = fields.text(CREDENTIAL)?.unwrap_or_default();
    check_credential(&credential)?;
    Ok(credential)
}

/// Checks that a credential has 1 to [`limits::CREDENTIAL_BYTES`] bytes.
pub(crate) fn check_credential(credential: &str) -> Result<(), ApiError> {
    if credential.is_empty() {
        return Err(ApiError::credential_required());
    }
    if credential.len() > limits::CREDENTIAL_BYTES {
        let message = too_many_bytes(limits::CREDENTIAL_BYTES);
        let error = ApiError::invalid_field(CREDENTIAL.name, &message);
        return Err(error.limit(limits::CREDENTIAL_BYTES));
    }
    Ok(())
}

/// The scopes in `field`; none when it is unset.
pub(crate) fn scopes(fields: &mut Fields<'_>, field: Field) -> Result<Vec<String>, ApiError> {
    let scopes = fields.texts(field)?;
    if scopes.len() > limits::SCOPES {
        let error = fields.invalid(field, &too_many_entries(limits::SCOPES));
        return Err(error.limit(limits::SCOPES));
    }
    for (index, scope) in scopes.iter().enumerate() {
        if scope.is_empty() {
            return Err(fields.invalid_entry(field, index, "must not be empty"));
        }
        if scope.chars().count() > limits::SCOPE_CHARS {
            let message = too_many_chars(limits::SCOPE_CHARS);
            let error = fields.invalid_entry(field, index, &message);
            return Err(error.limit(limits::SCOPE_CHARS));
        }
    }
    Ok(scopes.into_iter().map(Cow::into_owned).collect())
}

/// The scopes under either of their names in the short routes; none when both are unset.
pub(crate) fn permissions(fields: &mut Fields<'_>) -> Result<Vec<String>, ApiError> {
    if !fields.is_present(PERMISSIONS) {
        return scopes(fields, SCOPES);
    }
    if fields.is_present(SCOPES) {
        return Err(fields.invalid(PERMISSIONS, "is another name of scopes; use one of them"));
    }
    scopes(fields, PERMISSIONS)
}

/// The audiences in `field`; none when it is unset.
pub(crate) fn audiences<'a>(
    fields: &mut Fields<'a>,
    field: Field,
) -> Result<Vec<Cow<'a, str>>, ApiError> {
    let audiences = fields.texts(field)?;
    if audiences.len() > limits::AUDIENCES {
        let error = fields.invalid(field, &too_many_entries(limits::AUDIENCES));
        return Err(error.limit(limits::AUDIENCES));
    }
    for (index, audience) in audiences.iter().enumerate() {
        if audience.is_empty() || audience.chars().count() > limits::AUDIENCE_CHARS {
            let message = format!("must have 1 to {} characters", limits::AUDIENCE_CHARS);
            let error = fields.invalid_entry(field, index, &message);
            return Err(error.limit(limits::AUDIENCE_CHARS));
        }
    }
    Ok(audiences)
}

/// The metadata as compact JSON; empty when the field is unset or has no member.
pub(crate) fn metadata(fields: &mut Fields<'_>) -> Result<String, ApiError> {
    let metadata = fields
        .object(METADATA)?
        .map(Fields::into_json)
        .unwrap_or_default();
    check_json_bytes(fields, METADATA, &metadata, limits::METADATA_BYTES)?;
    Ok(metadata)
}

/// Checks the length of a field as compact JSON.
pub(crate) fn check_json_bytes(
    fields: &Fields<'_>,
    field: Field,
    json: &str,
    max: usize,
) -> Result<(), ApiError> {
    if json.len() > max {
        let message = format!("must have at most {max} bytes as compact JSON");
        return Err(fields.invalid(field, &message).limit(max));
    }
    Ok(())
}

/// The visibility; secret when it is unset.
pub(crate) fn visibility(fields: &mut Fields<'_>) -> Result<Visibility, ApiError> {
    let visibility = fields.enumeration::<names::KeyVisibility>(VISIBILITY)?;
    Ok(visibility.unwrap_or_default())
}

/// Why a key ends; unspecified when it is unset.
pub(crate) fn reason(fields: &mut Fields<'_>) -> Result<RevocationReason, ApiError> {
    let reason = fields.enumeration::<names::RevocationReason>(REASON)?;
    Ok(reason.unwrap_or_default())
}

/// The lifetime in milliseconds; `None` when it is unset or zero.
pub(crate) fn ttl_ms(fields: &mut Fields<'_>) -> Result<Option<u64>, ApiError> {
    let Some(text) = fields.text(TTL)?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let ttl = duration::parse(&text).map_err(|error| fields.invalid(TTL, &error.to_string()))?;
    if ttl.is_zero() {
        return Ok(None);
    }
    let (min, max) = (limits::TTL_SECONDS_MIN, limits::TTL_SECONDS_MAX);
    // The upper bound is compared as a duration: a fraction of a second may lie beyond it.
    if ttl.as_secs() < min || ttl > Duration::from_secs(max) {
        let error = fields.invalid(TTL, &format!("must be between {min}s and {max}s"));
        return Err(error.limit(if ttl.as_secs() < min { min } else { max }));
    }
    let millis = u64::try_from(ttl.as_millis()).map_err(|_| fields.invalid(TTL, "is too long"))?;
    Ok(Some(millis))
}

/// The rate limit; `None` when it is unset.
pub(crate) fn rate_limit(fields: &mut Fields<'_>) -> Result<Option<RateLimitPolicy>, ApiError> {
    let Some(mut policy) = fields.object(RATE_LIMIT_POLICY)? else {
        return Ok(None);
    };
    let quota = policy
        .int64(QUOTA)?
        .and_then(|quota| u64::try_from(quota).ok())
        .filter(|quota| *quota > 0)
        .ok_or_else(|| policy.invalid(QUOTA, "is required and must be greater than 0"))?;
    let window = policy.text(WINDOW)?.unwrap_or_default();
    if window.is_empty() {
        return Err(policy.invalid(WINDOW, "is required"));
    }
    let window =
        duration::parse(&window).map_err(|error| policy.invalid(WINDOW, &error.to_string()))?;
    if window.is_zero() || window.subsec_nanos() != 0 {
        return Err(policy.invalid(WINDOW, "must be in whole seconds, at least 1s"));
    }
    let unit = policy.text(UNIT)?.unwrap_or_default();
    if !matches!(&*unit, "" | "requests") {
        return Err(policy.invalid(UNIT, "must be requests"));
    }
    Ok(Some(RateLimitPolicy {
        quota,
        window_s: window.as_secs(),
    }))
}

/// The blocks of the IP restriction; none when it is unset.
pub(crate) fn allowed_cidrs(fields: &mut Fields<'_>) -> Result<Vec<Cidr>, ApiError> {
    let Some(mut restriction) = fields.object(IP_RESTRICTION)? else {
        return Ok(Vec::new());
    };
    let blocks = restriction.texts(ALLOWED_CIDRS)?;
    if blocks.len() > limits::CIDRS {
        let error = restriction.invalid(ALLOWED_CIDRS, &too_many_entries(limits::CIDRS));
        return Err(error.limit(limits::CIDRS));
    }
    let block = |(index, text): (usize, &Cow<'_, str>)| {
        let parsed = text.parse::<Cidr>();
        parsed.map_err(|error| {
            restriction.invalid_entry(ALLOWED_CIDRS, index, &format!("is {error}"))
        })
    };
    blocks.iter().enumerate().map(block).collect()
}

/// The idempotency id (AIP-155); `None` when it is unset or empty.
pub(crate) fn request_id(fields: &mut Fields<'_>) -> Result<Option<String>, ApiError> {
    optional(fields, REQUEST_ID, limits::REQUEST_ID_CHARS)
}
