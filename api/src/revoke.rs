//! Revoking a key: `POST …/{key_id}:revoke`.

use talos_model::RevocationReason;

use crate::error::ApiError;
use crate::json::{self, Field, Fields, Object};
use crate::key_tables::{DESCRIPTION, REASON};
use crate::{key_fields, limits};

/// The body of a request for a key of either kind.
pub(crate) static REQUEST: Object = request("AdminRevokeApiKeyBody");
/// The body of a request for an issued key.
pub(crate) static ISSUED_REQUEST: Object = request("AdminRevokeIssuedApiKeyBody");
/// The body of a request for an imported key.
pub(crate) static IMPORTED_REQUEST: Object = request("AdminRevokeImportedApiKeyBody");

const fn request(name: &'static str) -> Object {
    Object {
        name,
        about: "Why a key ends.",
        fields: &FIELDS,
    }
}

static FIELDS: [Field; 2] = [REASON, DESCRIPTION];

/// Why a key is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeRequest {
    /// The reason.
    pub reason: RevocationReason,
    /// A description; empty unless the reason is [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
}

/// Reads the request. The empty body is a revocation without a reason.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_request(body: &[u8]) -> Result<RevokeRequest, ApiError> {
    parse_fields(&mut json::parse(body, &REQUEST)?)
}

/// Reads the fields of one object.
pub(crate) fn parse_fields(fields: &mut Fields<'_>) -> Result<RevokeRequest, ApiError> {
    let reason = key_fields::reason(fields)?;
    let description = fields.text(DESCRIPTION)?.unwrap_or_default().into_owned();
    if !description.is_empty() && reason != RevocationReason::PrivilegeWithdrawn {
        let message = "is allowed only with the reason REVOCATION_REASON_PRIVILEGE_WITHDRAWN";
        return Err(fields.invalid(DESCRIPTION, message));
    }
    if description.chars().count() > limits::REVOCATION_DESCRIPTION_CHARS {
        let message = format!(
            "must have at most {} characters",
            limits::REVOCATION_DESCRIPTION_CHARS
        );
        let error = fields.invalid(DESCRIPTION, &message);
        return Err(error.limit(limits::REVOCATION_DESCRIPTION_CHARS));
    }
    Ok(RevokeRequest {
        reason,
        description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{self, Enumeration as _};

    #[test]
    fn reasons() {
        for &(name, reason) in names::RevocationReason::VALUES {
            let body = format!(r#"{{"reason":"{name}"}}"#);
            let request = parse_request(body.as_bytes());
            assert_eq!(
                request,
                Ok(RevokeRequest {
                    reason,
                    description: String::new()
                })
            );
        }
        for body in [
            "",
            "{}",
            r#"{"reason":null,"description":null}"#,
            r#"{"description":""}"#,
        ] {
            let wanted = RevokeRequest {
                reason: RevocationReason::Unspecified,
                description: String::new(),
            };
            assert_eq!(parse_request(body.as_bytes()), Ok(wanted), "{body}");
        }
    }

    #[test]
    fn a_description_needs_its_reason() {
        let text = "d".repeat(limits::REVOCATION_DESCRIPTION_CHARS);
        for &(name, reason) in names::RevocationReason::VALUES {
            let body = format!(r#"{{"reason":"{name}","description":"{text}"}}"#);
            let allowed = reason == RevocationReason::PrivilegeWithdrawn;
            assert_eq!(parse_request(body.as_bytes()).is_ok(), allowed, "{name}");
        }
        assert!(parse_request(br#"{"description":"d"}"#).is_err());
        let long = format!(
            r#"{{"reason":"REVOCATION_REASON_PRIVILEGE_WITHDRAWN","description":"{text}d"}}"#
        );
        assert!(parse_request(long.as_bytes()).is_err());
    }

    #[test]
    fn bad_bodies() {
        for body in [
            "null",
            "[]",
            "{",
            r#"{"reason":"superseded"}"#,
            r#"{"reason":5}"#,
            r#"{"description":[]}"#,
        ] {
            assert_eq!(
                parse_request(body.as_bytes()).map_err(|error| error.status()),
                Err(400),
                "{body}"
            );
        }
    }
}
