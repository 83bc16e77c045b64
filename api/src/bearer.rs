//! Verifying the credential of the `Authorization` header: `GET` and `POST /verify`.

use std::borrow::Cow;

use crate::error::ApiError;
use crate::json::{self, Object};
use crate::key_fields;
use crate::verify::{EXPECTED_AUDIENCES, VerifyRequest};

/// The scheme of RFC 6750 §2.1, in any case (RFC 9110 §11.1).
const SCHEME: &[u8] = b"Bearer";

/// The body of a request, which may be empty.
pub(crate) static REQUEST: Object = Object {
    name: "VerifyBearerRequest",
    about: "What the credential in the `Authorization` header must meet.",
    fields: &[EXPECTED_AUDIENCES],
    rules: &[],
};

/// Reads the request from the value of `Authorization`. Keys of other systems may have any
/// characters, so the credential is everything after the scheme, not only the token68 of RFC 9110
/// §11.2. The body may name `expected_audiences`. Without a body nothing is allocated.
///
/// # Errors
/// 401 `unauthorized` when the header is missing, has another scheme or no credential; 400 when the
/// credential is too long or not UTF-8, or when the body breaks the contract.
pub fn parse_request<'a>(
    authorization: Option<&'a [u8]>,
    body: &'a [u8],
) -> Result<VerifyRequest<'a>, ApiError> {
    let credential = authorization
        .and_then(credential)
        .ok_or_else(ApiError::unauthorized)?;
    let credential = std::str::from_utf8(credential)
        .map_err(|_| ApiError::bad_request("Authorization: the credential is not UTF-8"))?;
    let expected_audiences = if body.is_empty() {
        Vec::new()
    } else {
        let mut fields = json::parse(body, &REQUEST)?;
        key_fields::audiences(&mut fields, EXPECTED_AUDIENCES)?
    };
    key_fields::check_credential(credential)?;
    Ok(VerifyRequest {
        credential: Cow::Borrowed(credential),
        expected_audiences,
    })
}

/// The credential in the value of an `Authorization` field, which follows the scheme and white
/// space; `None` when it is empty or the scheme differs.
#[must_use]
pub fn credential(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let credential = rest.trim_ascii();
    let separated = rest
        .first()
        .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
    (scheme.eq_ignore_ascii_case(SCHEME) && separated && !credential.is_empty())
        .then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::limits;

    fn read(value: &[u8], body: &[u8]) -> Result<String, Reason> {
        parse_request(Some(value), body)
            .map(|request| request.credential.into_owned())
            .map_err(|error| error.reason())
    }

    #[test]
    fn the_credential_follows_the_scheme() {
        for value in ["Bearer a_b", "bearer a_b", "BEARER   a_b ", "bEaReR\ta_b"] {
            assert_eq!(read(value.as_bytes(), b""), Ok("a_b".to_owned()), "{value}");
        }
        assert_eq!(read("Bearer é b".as_bytes(), b""), Ok("é b".to_owned()));
        assert_eq!(read(b"Bearer Bearer x", b""), Ok("Bearer x".to_owned()));
    }

    #[test]
    fn without_a_bearer_credential_nobody_is_authorized() {
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer \t ",
            "Basic eDp5",
            "Bearerx",
            "Bear er x",
            "x",
        ] {
            assert_eq!(
                read(value.as_bytes(), b""),
                Err(Reason::Unauthorized),
                "{value}"
            );
        }
        let missing = parse_request(None, b"").err().map(|error| error.reason());
        assert_eq!(missing, Some(Reason::Unauthorized));
    }

    #[test]
    fn bad_credentials_and_bodies() {
        let value = |length: usize| [b"Bearer ".as_slice(), &vec![b'x'; length]].concat();
        assert!(read(&value(limits::CREDENTIAL_BYTES), b"").is_ok());
        let long = read(&value(limits::CREDENTIAL_BYTES + 1), b"");
        assert_eq!(long, Err(Reason::BadRequest));
        assert_eq!(read(b"Bearer \xff", b""), Err(Reason::BadRequest));
        for body in [r#"{"expected_audiences":"a"}"#, "{", "x"] {
            assert_eq!(
                read(b"Bearer x", body.as_bytes()),
                Err(Reason::BadRequest),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_names_audiences() {
        let body = br#"{"expected_audiences":["a","b"],"credential":5}"#;
        let request =
            parse_request(Some(b"Bearer x"), body).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(request.expected_audiences, ["a", "b"]);
        assert_eq!(request.credential, "x");
    }
}
