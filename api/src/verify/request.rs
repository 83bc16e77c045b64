//! Reading a request. The body of nearly every request is one short field, so that form is parsed
//! by hand. Whatever the fast parser accepts, the strict reader reads in the same way.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::json::{self, Field, Object};
use crate::key_fields;
use crate::key_tables::{CREDENTIAL, audiences};
use crate::query::Parameter;

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "VerifyApiKeyRequest",
    about: "A credential to verify.",
    fields: &[CREDENTIAL, EXPECTED_AUDIENCES],
    rules: &[],
};

/// Which audiences a credential must name.
pub(crate) const EXPECTED_AUDIENCES: Field = audiences(
    "expected_audiences",
    "Audiences of which the credential must name at least one (RFC 7519 §4.1.3); none: it must name none.",
);

/// The headers of a request that change how it is answered (RFC 9111 §5.2.1, §5.4).
pub(crate) const HEADERS: [Parameter; 2] = [
    Parameter::text(
        "Cache-Control",
        "`no-cache` asks storage and not the cache; `no-store` leaves the cache as it is, too.",
    ),
    Parameter::text("Pragma", "`no-cache`, as in `Cache-Control`."),
];

/// What is to be verified. It has no `Debug`, because the credential is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyRequest<'a> {
    /// The credential, 1 to [`CREDENTIAL_BYTES`](crate::limits::CREDENTIAL_BYTES) bytes. It is
    /// borrowed from the body when it has no escapes.
    pub credential: Cow<'a, str>,
    /// Audiences of which the credential must name at least one. If there are none, the credential
    /// must name none either.
    pub expected_audiences: Vec<Cow<'a, str>>,
}

/// Reads the request. A body that is one `credential` without escapes is read without allocating.
///
/// # Errors
/// 400 when the body breaks the contract; `credential_required` when the credential is missing or
/// empty.
pub fn parse_request(body: &[u8]) -> Result<VerifyRequest<'_>, ApiError> {
    let request = match plain_credential(body) {
        Some(credential) => VerifyRequest {
            credential: Cow::Borrowed(credential),
            expected_audiences: Vec::new(),
        },
        None => parse_any(body)?,
    };
    key_fields::check_credential(&request.credential)?;
    Ok(request)
}

/// The credential of a body that is exactly `{"credential":"…"}`, with any white space between the
/// tokens and no escape in the value. `None` for every other body, good or bad: the strict reader
/// decides about it.
fn plain_credential(body: &[u8]) -> Option<&str> {
    let rest = skip_white_space(body).strip_prefix(b"{")?;
    let rest = skip_white_space(rest).strip_prefix(b"\"credential\"")?;
    let rest = skip_white_space(rest).strip_prefix(b":")?;
    let rest = skip_white_space(rest).strip_prefix(b"\"")?;
    let (credential, rest) = rest.split_at_checked(memchr::memchr2(b'"', b'\\', rest)?)?;
    // The scan also stops at a backslash. Such a body has an escape and fails here.
    let rest = skip_white_space(rest.strip_prefix(b"\"")?).strip_prefix(b"}")?;
    if !skip_white_space(rest).is_empty() {
        return None;
    }
    // The count has no early exit, so the compiler compares sixteen bytes at a time.
    let controls = credential.iter().filter(|byte| **byte < b' ').count();
    if controls > 0 {
        return None;
    }
    std::str::from_utf8(credential).ok()
}

/// Skips the white space of RFC 8259 §2.
fn skip_white_space(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Reads any body strictly. The credential may still be empty or too long.
fn parse_any(body: &[u8]) -> Result<VerifyRequest<'_>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let credential = fields.text(CREDENTIAL)?.unwrap_or_default();
    let expected_audiences = key_fields::audiences(&mut fields, EXPECTED_AUDIENCES)?;
    Ok(VerifyRequest {
        credential,
        expected_audiences,
    })
}

#[cfg(test)]
mod tests;
