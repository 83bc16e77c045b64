//! The error that a client gets when a request fails. Details for the operator go to the log.

mod about;
mod engine;
pub(crate) mod envelope;
mod metadata;
mod reason;

use std::borrow::Cow;

use metadata::Metadata;
pub use reason::Reason;
use talos_model::{KeyId, RequestField};

/// Seconds after which a client may retry when a queue was full.
const RETRY_AFTER_BUSY_S: u32 = 1;

/// The field of a body that has a credential.
const CREDENTIAL: &str = "credential";

/// How administrators authenticate (RFC 6750 §3).
const ADMIN_CHALLENGE: &str = "Bearer realm=\"talos\"";

/// A failed request, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    reason: Reason,
    message: Cow<'static, str>,
    allow: Option<&'static str>,
    accept_encoding: Option<&'static str>,
    challenge: Option<&'static str>,
    retry_after_s: Option<u32>,
    metadata: Metadata,
}

impl ApiError {
    fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            allow: None,
            accept_encoding: None,
            challenge: None,
            retry_after_s: None,
            metadata: Metadata::default(),
        }
    }

    /// 400: the request breaks the contract, as `message` says.
    #[must_use]
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// 400: the value of `field` (a path such as `rate_limit_policy.quota`) is not allowed.
    #[must_use]
    pub fn invalid_field(field: &str, message: &str) -> Self {
        Self::new(Reason::BadRequest, format!("{field}: {message}")).at_field(field)
    }

    /// Moves the error to `place` in a larger body, such as `requests[3]`.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        let message = format!("{place}.{}", self.message).into();
        Self { message, ..self }.field_within(place)
    }

    /// 400: the request has no credential.
    #[must_use]
    pub fn credential_required() -> Self {
        Self::new(
            Reason::CredentialRequired,
            "credential: is required and must not be empty",
        )
        .at_field(CREDENTIAL)
    }

    /// 400: a derived token cannot be revoked, only its parent.
    #[must_use]
    pub fn derived_token_not_revocable() -> Self {
        Self::new(
            Reason::DerivedTokenNotRevocable,
            "credential: a derived token cannot be revoked; revoke the API key that it comes from",
        )
        .at_field(CREDENTIAL)
    }

    /// 400: a derived token instead of the credential of a key.
    #[must_use]
    pub fn invalid_token_type() -> Self {
        Self::new(
            Reason::InvalidTokenType,
            "credential: no token can be derived from a derived token; show the credential of the API key",
        )
        .at_field(CREDENTIAL)
    }

    /// 401: the key has expired.
    #[must_use]
    pub fn api_key_expired() -> Self {
        Self::new(Reason::ApiKeyExpired, "the API key has expired")
    }

    /// 401: the key has been revoked.
    #[must_use]
    pub fn api_key_revoked() -> Self {
        Self::new(Reason::ApiKeyRevoked, "the API key has been revoked")
    }

    /// 401: no key has the credential from which a token is derived.
    #[must_use]
    pub fn parent_key_invalid() -> Self {
        Self::new(
            Reason::ParentKeyInvalid,
            "credential: no API key has this credential",
        )
        .at_field(CREDENTIAL)
    }

    /// 403: the key does not permit the request, as `message` says.
    #[must_use]
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::Forbidden, message)
    }

    /// 403: the key may not be used from the address of the client.
    #[must_use]
    pub fn ip_not_allowed() -> Self {
        Self::new(
            Reason::IpNotAllowed,
            "the API key may not be used from this address",
        )
    }

    /// 400: no key has the credential that is revoked.
    #[must_use]
    pub fn unknown_credential() -> Self {
        Self::new(
            Reason::UnknownCredential,
            "credential: no API key has this credential",
        )
        .at_field(CREDENTIAL)
    }

    /// 401 with `WWW-Authenticate`: `Authorization` has no bearer credential (RFC 6750 §3).
    #[must_use]
    pub fn unauthorized() -> Self {
        Self {
            challenge: Some("Bearer"),
            ..Self::new(
                Reason::Unauthorized,
                "a credential is required: Authorization: Bearer CREDENTIAL",
            )
        }
    }

    /// 401 with `WWW-Authenticate`: the route needs a principal, and the request proves none, as
    /// `message` says.
    #[must_use]
    pub fn unauthenticated(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            challenge: Some(ADMIN_CHALLENGE),
            ..Self::new(Reason::Unauthorized, message)
        }
    }

    /// 404: no route has this path.
    #[must_use]
    pub fn not_found_route() -> Self {
        Self::new(Reason::NotFound, "no such route")
    }

    /// 404: no tenant has the host name of the request.
    #[must_use]
    pub fn network_not_found() -> Self {
        Self::new(Reason::NotFound, "network not found")
    }

    /// 404: the tenant has no key with this id.
    #[must_use]
    pub fn api_key_not_found() -> Self {
        Self::new(Reason::ApiKeyNotFound, "no such API key")
    }

    /// 409: the tenant has a key with this id already.
    #[must_use]
    pub fn api_key_exists() -> Self {
        Self::new(Reason::ApiKeyExists, "the API key exists already")
    }

    /// 409: an earlier request with this `request_id` asked for another key and made `key_id`;
    /// `field` is the first field in which the two differ.
    #[must_use]
    pub fn request_id_reused(field: RequestField, key_id: KeyId) -> Self {
        let field = field.name();
        let message = format!(
            "request_id: an earlier request with this id had another {field}; send that request again, or choose another id"
        );
        Self::new(Reason::Conflict, message)
            .at_field(field)
            .about_key(key_id)
    }

    /// 404: there is no admin token with this id.
    #[must_use]
    pub fn admin_token_not_found() -> Self {
        Self::new(Reason::NotFound, "no such admin token")
    }

    /// 409: another admin token has this name.
    #[must_use]
    pub fn admin_token_name_taken() -> Self {
        Self::new(
            Reason::Conflict,
            "name: another admin token has this name; rotate or revoke that one, or choose another name",
        )
        .at_field("name")
    }

    /// 402: the tenant has reached its quota of `max` keys that are not revoked.
    #[must_use]
    pub fn api_key_quota_exceeded(max: u64) -> Self {
        Self::new(
            Reason::ApiKeyQuotaExceeded,
            "the quota of API keys is reached; revoke one that is not needed",
        )
        .limit(max)
    }

    /// 405: the route has other methods. `allow` is the value of the `Allow` header (RFC 9110
    /// §10.2.1).
    #[must_use]
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("the method is not allowed here; allowed: {allow}");
        Self {
            allow: Some(allow),
            ..Self::new(Reason::MethodNotAllowed, message)
        }
    }

    /// 408: the request did not arrive in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(Reason::RequestTimeout, "the request did not arrive in time")
    }

    /// 409: the state of the key or the node does not permit the request, as `message` says.
    #[must_use]
    pub fn failed_precondition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::FailedPrecondition, message)
    }

    /// 410: the log does not hold the changes after a position, as `message` says.
    #[must_use]
    pub fn position_gone(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::PositionGone, message)
    }

    /// 413: the body is over the limit of its route.
    #[must_use]
    pub fn payload_too_large() -> Self {
        Self::new(Reason::PayloadTooLarge, "the request body is too large")
    }

    /// 414: the request target is over the limit.
    #[must_use]
    pub fn uri_too_long() -> Self {
        Self::new(Reason::UriTooLong, "the request target is too long")
    }

    /// 415: a request to a route for administrators does not declare its body as JSON.
    #[must_use]
    pub fn unsupported_media_type() -> Self {
        Self::new(
            Reason::UnsupportedMediaType,
            "this route takes JSON; send the header Content-Type: application/json",
        )
    }

    /// 415 with `Accept-Encoding`: the body has a content coding (RFC 9110 §12.5.3).
    #[must_use]
    pub fn unsupported_content_coding() -> Self {
        Self {
            accept_encoding: Some("identity"),
            ..Self::new(
                Reason::UnsupportedMediaType,
                "the body has a Content-Encoding; send it without one",
            )
        }
    }

    /// 417: an expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[must_use]
    pub fn expectation_failed() -> Self {
        Self::new(
            Reason::ExpectationFailed,
            "only 100-continue can be expected",
        )
    }

    /// 429 with `Retry-After`: the client's address has failed too often, as `message` says.
    /// Nothing was done.
    #[must_use]
    pub fn too_many_requests(message: &'static str, retry_after_s: u32) -> Self {
        Self::new(Reason::TooManyRequests, message).retry_after(retry_after_s)
    }

    /// 431: the request line and headers are over the limit (RFC 6585 §5).
    #[must_use]
    pub fn head_too_large() -> Self {
        Self::new(
            Reason::HeaderFieldsTooLarge,
            "the request head is too large",
        )
    }

    /// 500: a bug or a failed disk. Log the cause; the answer does not name it.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Reason::InternalServerError, "an internal error occurred")
    }

    /// 502: the upstream gave no HTTP answer. It may still have carried out the request.
    #[must_use]
    pub fn bad_gateway() -> Self {
        Self::new(
            Reason::BadGateway,
            "the upstream gave no answer; what was asked may still have been done",
        )
    }

    /// 503 with `Retry-After`: nothing was done, and a retry may succeed.
    #[must_use]
    pub fn service_unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after_s: Some(RETRY_AFTER_BUSY_S),
            ..Self::new(Reason::ServiceUnavailable, message)
        }
    }

    /// Replaces `Retry-After`, in seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// Replaces the message.
    pub(crate) fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }

    /// 504: storage did not answer in time. The change may still take effect.
    #[must_use]
    pub fn gateway_timeout() -> Self {
        Self::new(
            Reason::GatewayTimeout,
            "storage did not answer in time; the change may still take effect",
        )
    }

    /// 504: the upstream did not answer in time. The change may still take effect.
    #[must_use]
    pub fn upstream_timeout() -> Self {
        Self::new(
            Reason::GatewayTimeout,
            "the upstream did not answer in time; the change may still take effect",
        )
    }

    /// 505: an HTTP version other than 1.0 and 1.1.
    #[must_use]
    pub fn http_version_not_supported() -> Self {
        Self::new(
            Reason::HttpVersionNotSupported,
            "only HTTP/1.0 and HTTP/1.1 are spoken here",
        )
    }

    /// Why the request failed, for programs.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reason.parts().0
    }
}

#[cfg(test)]
mod tests;
