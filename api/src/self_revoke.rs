//! Ending a key by whoever holds it: `POST /v2alpha1/apiKeys:selfRevoke`.

use std::borrow::Cow;

use talos_engine::credential::shape::{self, Shape};
use talos_engine::{MacaroonPrefixes, RevocationReason};

use crate::error::ApiError;
use crate::json::{self, Field, Kind, Object};
use crate::key::REVOCATION_REASONS;
use crate::key_tables::{CREDENTIAL, REASON};
use crate::limits;

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "SelfRevokeApiKeyRequest",
    about: "A credential that its holder wants to end. `REVOCATION_REASON_PRIVILEGE_WITHDRAWN` is not for the holder to say.",
    fields: &[
        CREDENTIAL,
        REASON,
        Field::new(
            "description",
            Kind::Text(None),
            "Must be empty: it goes with a reason that is not for the holder to say.",
        ),
    ],
};

/// A credential to be ended. It has no `Debug`, because the credential is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SelfRevokeRequest<'a> {
    /// The credential, 1 to [`limits::CREDENTIAL_BYTES`] bytes, and no derived token.
    pub credential: Cow<'a, str>,
    /// Why it ends; never [`RevocationReason::PrivilegeWithdrawn`], which is not for the holder to say.
    pub reason: RevocationReason,
}

/// Reads the request. `macaroons` are the prefixes that macaroons have here.
///
/// # Errors
/// 400 when the body breaks the contract: `credential_required` when the credential is missing or empty,
/// `derived_token_not_revocable` when it is a derived token.
pub fn parse_request<'a>(
    body: &'a [u8],
    macaroons: &MacaroonPrefixes,
) -> Result<SelfRevokeRequest<'a>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let credential = fields.text("credential")?.unwrap_or_default();
    if credential.is_empty() {
        return Err(ApiError::credential_required());
    }
    if credential.len() > limits::CREDENTIAL_BYTES {
        let message = format!("must have at most {} bytes", limits::CREDENTIAL_BYTES);
        return Err(fields.invalid("credential", &message));
    }
    let reason = fields
        .enumeration("reason", &REVOCATION_REASONS)?
        .unwrap_or_default();
    if reason == RevocationReason::PrivilegeWithdrawn {
        let message = "REVOCATION_REASON_PRIVILEGE_WITHDRAWN is for administrators only";
        return Err(fields.invalid("reason", message));
    }
    if fields.has_value("description") {
        let message =
            "goes with REVOCATION_REASON_PRIVILEGE_WITHDRAWN, which is for administrators only";
        return Err(fields.invalid("description", message));
    }
    match shape::of(credential.as_bytes(), macaroons) {
        Shape::Token(_) => return Err(ApiError::derived_token_not_revocable()),
        Shape::Issued(_) | Shape::Other => {}
    }
    Ok(SelfRevokeRequest { credential, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    fn parse(body: &str) -> Result<(String, RevocationReason), Reason> {
        parse_request(body.as_bytes(), &MacaroonPrefixes::default())
            .map(|request| (request.credential.into_owned(), request.reason))
            .map_err(|error| error.reason())
    }

    #[test]
    fn every_reason_but_one() {
        for (name, reason) in REVOCATION_REASONS {
            let body = format!(r#"{{"credential":"x","reason":"{name}"}}"#);
            let wanted = if reason == RevocationReason::PrivilegeWithdrawn {
                Err(Reason::BadRequest)
            } else {
                Ok(("x".to_owned(), reason))
            };
            assert_eq!(parse(&body), wanted, "{name}");
        }
        let unspecified = Ok(("x".to_owned(), RevocationReason::Unspecified));
        assert_eq!(parse(r#"{"credential":"x"}"#), unspecified);
    }

    #[test]
    fn credentials_that_cannot_be_revoked() {
        let long = format!(
            r#"{{"credential":"{}"}}"#,
            "x".repeat(limits::CREDENTIAL_BYTES + 1)
        );
        let table = [
            ("", Reason::CredentialRequired),
            ("{}", Reason::CredentialRequired),
            (r#"{"credential":""}"#, Reason::CredentialRequired),
            (r#"{"credential":null}"#, Reason::CredentialRequired),
            (r#"{"credential":7}"#, Reason::BadRequest),
            (
                r#"{"credential":"x","reason":"SUPERSEDED"}"#,
                Reason::BadRequest,
            ),
            (&long, Reason::BadRequest),
            (
                r#"{"credential":"x","description":"left the team"}"#,
                Reason::BadRequest,
            ),
            (
                r#"{"credential":"eyJh.e30.c2ln"}"#,
                Reason::DerivedTokenNotRevocable,
            ),
            (
                r#"{"credential":"mc_v1_AgEB"}"#,
                Reason::DerivedTokenNotRevocable,
            ),
        ];
        for (body, reason) in table {
            assert_eq!(parse(body), Err(reason), "{body}");
        }
    }
}
