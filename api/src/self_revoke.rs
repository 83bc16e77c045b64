//! Revoking a key by its holder: `POST /v2alpha1/apiKeys:selfRevoke`.

use std::borrow::Cow;

use talos_model::RevocationReason;

use crate::control::ControlResponse;
use crate::error::ApiError;
use crate::form::Form;
use crate::json::{self, Field, Kind, Object, Rule};
use crate::key_fields;
use crate::key_tables::{CREDENTIAL, PRIVILEGE_WITHDRAWN, REASON};

const DESCRIPTION: Field = Field::new(
    "description",
    Kind::Text(None),
    "Must be empty: it goes with a reason that is not for the holder to say.",
)
.form(Form::Empty);

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "SelfRevokeApiKeyRequest",
    about: "A credential that its holder wants to end. `REVOCATION_REASON_PRIVILEGE_WITHDRAWN` is not for the holder to say.",
    fields: &[CREDENTIAL, REASON, DESCRIPTION],
    rules: &[Rule::Never(REASON, PRIVILEGE_WITHDRAWN)],
};

/// The product in `User-Agent` of the published client for Rust, up to its version.
const RUST_CLIENT: &str = "ory-client-rust/";

/// The answer to a revocation, for a client with this `User-Agent`: 204 without a body. The
/// published client for Rust takes an answer without JSON for a failure, so it gets an empty
/// object.
#[must_use]
pub fn response(user_agent: Option<&str>) -> ControlResponse {
    match user_agent {
        Some(product) if product.starts_with(RUST_CLIENT) => {
            ControlResponse::json(200, b"{}".to_vec())
        }
        _ => ControlResponse::no_content(),
    }
}

/// A credential that its holder revokes. It has no `Debug`, because the credential is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SelfRevokeRequest<'a> {
    /// The credential, 1 to [`CREDENTIAL_BYTES`](crate::limits::CREDENTIAL_BYTES) bytes.
    pub credential: Cow<'a, str>,
    /// The reason; never [`RevocationReason::PrivilegeWithdrawn`], which is for administrators.
    pub reason: RevocationReason,
}

/// Reads the request.
///
/// # Errors
/// 400 when the body breaks the contract; `credential_required` when the credential is missing or
/// empty.
pub fn parse_request(body: &[u8]) -> Result<SelfRevokeRequest<'_>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let credential = key_fields::credential(&mut fields)?;
    let reason = key_fields::reason(&mut fields)?;
    if reason == RevocationReason::PrivilegeWithdrawn {
        let message = "REVOCATION_REASON_PRIVILEGE_WITHDRAWN is for administrators only";
        return Err(fields.invalid(REASON, message));
    }
    if fields.has_value(DESCRIPTION) {
        let message =
            "goes with REVOCATION_REASON_PRIVILEGE_WITHDRAWN, which is for administrators only";
        return Err(fields.invalid(DESCRIPTION, message));
    }
    Ok(SelfRevokeRequest { credential, reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use crate::limits;
    use crate::names::{self, Enumeration as _};

    fn parse(body: &str) -> Result<(String, RevocationReason), Reason> {
        parse_request(body.as_bytes())
            .map(|request| (request.credential.into_owned(), request.reason))
            .map_err(|error| error.reason())
    }

    #[test]
    fn every_reason_but_one() {
        for &(name, reason) in names::RevocationReason::VALUES {
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
    fn only_the_client_for_rust_gets_a_body() {
        let answer = |user_agent| {
            let response = response(user_agent);
            (response.status, response.body)
        };
        for other in [
            None,
            Some(""),
            Some("curl/8"),
            Some("my-ory-client-rust/v1"),
        ] {
            assert_eq!(answer(other), (204, Vec::new()), "{other:?}");
        }
        let rust = answer(Some("ory-client-rust/v1.22.89"));
        assert_eq!(rust, (200, b"{}".to_vec()));
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
        ];
        for (body, reason) in table {
            assert_eq!(parse(body), Err(reason), "{body}");
        }
    }
}
