//! How errors of the engine are answered.

use talos_model::limits::ADMIN_TOKENS;
use talos_model::{CommandError, ReadError, Rejection};

use super::ApiError;

/// Seconds after which a client may retry when an operator has to act first.
const RETRY_AFTER_OPERATOR_S: u32 = 30;

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::NoTenant => Self::network_not_found(),
            Rejection::NotFound => Self::api_key_not_found(),
            Rejection::AlreadyRevoked => {
                Self::failed_precondition("the API key is already revoked")
            }
            Rejection::NotActive => Self::failed_precondition("the API key is not active"),
            Rejection::AlreadyExists => Self::api_key_exists(),
            Rejection::RequestIdReused { field, key_id, .. } => {
                Self::request_id_reused(field, key_id)
            }
            Rejection::QuotaExceeded { max } => Self::api_key_quota_exceeded(max),
            Rejection::TooManyBulkRevocations => Self::service_unavailable(
                "too many revocations of many keys are under way; try again when one of them is complete",
            ),
            Rejection::NoPublicPrefix => Self::invalid_field(
                "visibility",
                "KEY_VISIBILITY_PUBLIC needs a prefix for public keys, and none is configured",
            ),
            Rejection::TtlBeyondMax { max_s } => Self::invalid_field(
                "ttl",
                &format!("must be at most {max_s}s, the greatest age of an issued key"),
            )
            .limit(max_s),
            Rejection::AdminTokenExists => Self::admin_token_name_taken(),
            Rejection::AdminTokenNotFound => Self::admin_token_not_found(),
            Rejection::TooManyAdminTokens => Self::failed_precondition(format!(
                "there are {ADMIN_TOKENS} admin tokens already; revoke one that is not needed"
            ))
            .limit(ADMIN_TOKENS),
        }
    }
}

impl From<CommandError> for ApiError {
    /// The cause of a latched engine is for the operator. It is not part of the answer.
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::Busy => {
                Self::service_unavailable("too many changes are waiting; try again")
            }
            CommandError::Latched(_) => Self::service_unavailable(
                "changes are not accepted at present; verification goes on",
            )
            .retry_after(RETRY_AFTER_OPERATOR_S),
            CommandError::Storage(_) => Self::internal(),
            CommandError::Replica => Self::service_unavailable(
                "this node is a replica; changes are taken by the primary",
            ),
            CommandError::Stopping => {
                Self::service_unavailable("the server is shutting down; try again")
            }
        }
    }
}

impl From<ReadError> for ApiError {
    /// The cause of a storage failure is for the operator. It is not part of the answer.
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Incomplete => {
                Self::service_unavailable("this node is being copied from another one; try again")
            }
            ReadError::Busy => Self::service_unavailable("too many reads are waiting; try again"),
            ReadError::Storage(_) => Self::internal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{KeyId, RequestField, Sequence};

    use super::*;

    #[test]
    fn the_operators_text_stays_inside() {
        let secret = "/var/lib/talos: input/output error".to_owned();
        for error in [
            ApiError::from(CommandError::Latched(secret.clone())),
            ApiError::from(CommandError::Storage(secret.clone())),
            ApiError::from(ReadError::Storage(secret.clone())),
        ] {
            let body = String::from_utf8(error.to_body()).expect("UTF-8");
            assert!(!body.contains("/var"), "{body}");
        }
        assert_eq!(
            ApiError::from(CommandError::Latched(secret.clone())).status(),
            503
        );
        assert_eq!(ApiError::from(CommandError::Busy).status(), 503);
        assert_eq!(ApiError::from(CommandError::Stopping).status(), 503);
        assert_eq!(
            ApiError::from(CommandError::Storage(secret.clone())).status(),
            500
        );
        assert_eq!(ApiError::from(ReadError::Busy).status(), 503);
        assert_eq!(ApiError::from(ReadError::Storage(secret)).status(), 500);
    }

    #[test]
    fn refusals_have_their_statuses() {
        assert_eq!(
            ApiError::from(Rejection::NotFound),
            ApiError::api_key_not_found()
        );
        assert_eq!(ApiError::from(Rejection::AlreadyRevoked).status(), 409);
        assert_eq!(ApiError::from(Rejection::NoPublicPrefix).status(), 400);
        let error = ApiError::from(Rejection::TtlBeyondMax { max_s: 60 });
        assert_eq!(error.status(), 400);
        assert!(error.to_string().starts_with("ttl: ") && error.to_string().contains("60s"));
        let key_id: KeyId = "ab".repeat(32).parse().expect("an id");
        let field = RequestField::ALL[0];
        let reused = ApiError::from(Rejection::RequestIdReused {
            field,
            key_id,
            sequence: Sequence(7),
        });
        let wanted = ApiError::request_id_reused(field, key_id);
        assert_eq!(reused, wanted);
        assert_eq!(ApiError::from(Rejection::AdminTokenExists).status(), 409);
        assert_eq!(ApiError::from(Rejection::AdminTokenNotFound).status(), 404);
        assert_eq!(ApiError::from(Rejection::TooManyAdminTokens).status(), 409);
    }
}
