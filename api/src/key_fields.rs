//! The fields of a key as requests give them, each checked against its limits.

use std::borrow::Cow;
use std::time::Duration;

use talos_engine::cidr::Cidr;
use talos_engine::{RateLimitPolicy, Visibility, duration};

use crate::error::ApiError;
use crate::json::Fields;
use crate::key::VISIBILITIES;
use crate::limits;

/// A text of 1 to `max_chars` characters.
pub(crate) fn required(
    fields: &mut Fields<'_>,
    name: &str,
    max_chars: usize,
) -> Result<String, ApiError> {
    let text = fields.text(name)?.unwrap_or_default();
    if text.is_empty() {
        return Err(fields.invalid(name, "is required and must not be empty"));
    }
    check_chars(fields, name, &text, max_chars)?;
    Ok(text.into_owned())
}

/// A text of 1 to `max_chars` characters, or `default` when it is unset or empty.
pub(crate) fn optional(
    fields: &mut Fields<'_>,
    name: &str,
    max_chars: usize,
    default: &str,
) -> Result<String, ApiError> {
    let text = fields.text(name)?.unwrap_or_default();
    check_chars(fields, name, &text, max_chars)?;
    Ok(if text.is_empty() {
        default.to_owned()
    } else {
        text.into_owned()
    })
}

fn check_chars(fields: &Fields<'_>, name: &str, text: &str, max: usize) -> Result<(), ApiError> {
    if text.chars().count() > max {
        return Err(fields.invalid(name, &format!("must have at most {max} characters")));
    }
    Ok(())
}

/// The scopes; none when they are unset.
pub(crate) fn scopes(fields: &mut Fields<'_>) -> Result<Vec<String>, ApiError> {
    scopes_of(fields, "scopes")
}

/// The scopes that stand under `field`; none when it is unset.
pub(crate) fn scopes_of(fields: &mut Fields<'_>, field: &str) -> Result<Vec<String>, ApiError> {
    let scopes = fields.texts(field)?;
    if scopes.len() > limits::SCOPES {
        let message = format!("must have at most {} entries", limits::SCOPES);
        return Err(fields.invalid(field, &message));
    }
    for (index, scope) in scopes.iter().enumerate() {
        let name = format!("{field}[{index}]");
        if scope.is_empty() {
            return Err(fields.invalid(&name, "must not be empty"));
        }
        check_chars(fields, &name, scope, limits::SCOPE_CHARS)?;
    }
    Ok(scopes.into_iter().map(Cow::into_owned).collect())
}

/// The audiences in the field `name`; none when it is unset.
pub(crate) fn audiences<'a>(
    fields: &mut Fields<'a>,
    name: &str,
) -> Result<Vec<Cow<'a, str>>, ApiError> {
    let audiences = fields.texts(name)?;
    if audiences.len() > limits::AUDIENCES {
        let message = format!("must have at most {} entries", limits::AUDIENCES);
        return Err(fields.invalid(name, &message));
    }
    for (index, audience) in audiences.iter().enumerate() {
        if audience.is_empty() || audience.chars().count() > limits::AUDIENCE_CHARS {
            let message = format!("must have 1 to {} characters", limits::AUDIENCE_CHARS);
            return Err(fields.invalid(&format!("{name}[{index}]"), &message));
        }
    }
    Ok(audiences)
}

/// The metadata as compact JSON; the empty text when it is unset or has no field.
pub(crate) fn metadata(fields: &mut Fields<'_>) -> Result<String, ApiError> {
    let metadata = fields
        .object("metadata")?
        .map(Fields::into_json)
        .unwrap_or_default();
    if metadata.len() > limits::METADATA_BYTES {
        let message = format!(
            "must have at most {} bytes as compact JSON",
            limits::METADATA_BYTES
        );
        return Err(fields.invalid("metadata", &message));
    }
    Ok(metadata)
}

/// The visibility; secret when it is unset.
pub(crate) fn visibility(fields: &mut Fields<'_>) -> Result<Visibility, ApiError> {
    fields
        .enumeration("visibility", &VISIBILITIES)
        .map(Option::unwrap_or_default)
}

/// The life asked for, in milliseconds; `None` when it is unset or zero.
pub(crate) fn ttl_ms(fields: &mut Fields<'_>) -> Result<Option<u64>, ApiError> {
    let Some(text) = fields.text("ttl")?.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let ttl = duration::parse(&text).map_err(|error| fields.invalid("ttl", &error.to_string()))?;
    if ttl.is_zero() {
        return Ok(None);
    }
    let (min, max) = (limits::TTL_SECONDS_MIN, limits::TTL_SECONDS_MAX);
    // The second bound is compared as a duration, because a fraction of a second may lie beyond it.
    if ttl.as_secs() < min || ttl > Duration::from_secs(max) {
        return Err(fields.invalid("ttl", &format!("must be between {min}s and {max}s")));
    }
    let millis =
        u64::try_from(ttl.as_millis()).map_err(|_| fields.invalid("ttl", "is too long"))?;
    Ok(Some(millis))
}

/// The rate limit, if there is one.
pub(crate) fn rate_limit(fields: &mut Fields<'_>) -> Result<Option<RateLimitPolicy>, ApiError> {
    let Some(mut policy) = fields.object("rate_limit_policy")? else {
        return Ok(None);
    };
    let quota = policy
        .int64("quota")?
        .and_then(|quota| u64::try_from(quota).ok())
        .filter(|quota| *quota > 0);
    let quota =
        quota.ok_or_else(|| policy.invalid("quota", "is required and must be greater than 0"))?;
    let window = policy.text("window")?.unwrap_or_default();
    if window.is_empty() {
        return Err(policy.invalid("window", "is required"));
    }
    let window =
        duration::parse(&window).map_err(|error| policy.invalid("window", &error.to_string()))?;
    if window.is_zero() || window.subsec_nanos() != 0 {
        return Err(policy.invalid("window", "must be in whole seconds, at least 1s"));
    }
    let unit = policy.text("unit")?.unwrap_or_default();
    if !matches!(&*unit, "" | "requests") {
        return Err(policy.invalid("unit", "must be requests"));
    }
    Ok(Some(RateLimitPolicy {
        quota,
        window_s: window.as_secs(),
    }))
}

/// The blocks of the IP restriction; none when it is unset.
pub(crate) fn allowed_cidrs(fields: &mut Fields<'_>) -> Result<Vec<Cidr>, ApiError> {
    let Some(mut restriction) = fields.object("ip_restriction")? else {
        return Ok(Vec::new());
    };
    let blocks = restriction.texts("allowed_cidrs")?;
    if blocks.len() > limits::CIDRS {
        return Err(restriction.invalid(
            "allowed_cidrs",
            &format!("must have at most {} entries", limits::CIDRS),
        ));
    }
    let block = |(index, text): (usize, &Cow<'_, str>)| {
        let parsed = text.parse::<Cidr>();
        parsed.map_err(|error| {
            restriction.invalid(&format!("allowed_cidrs[{index}]"), &format!("is {error}"))
        })
    };
    blocks.iter().enumerate().map(block).collect()
}

/// The idempotency id (AIP-155); `None` when it is unset or empty.
pub(crate) fn request_id(fields: &mut Fields<'_>) -> Result<Option<String>, ApiError> {
    let Some(id) = fields.text("request_id")?.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    check_chars(fields, "request_id", &id, limits::REQUEST_ID_CHARS)?;
    Ok(Some(id.into_owned()))
}
