//! The error envelope: what a client is told when a request fails. This is the only place that pairs a reason with an
//! HTTP status and a gRPC status; what the operator needs to know goes to the log instead.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Serialize;

use crate::control::response::{CONTENT_TYPE, ControlResponse};
use crate::json;
use crate::shapes::FreeObject;

/// Seconds after which a client may try again when a queue was full.
const RETRY_AFTER_BUSY_S: u32 = 1;

/// Why a request failed, as a program reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request breaks the contract; the caller must change it.
    BadRequest,
    /// A verification names no credential; the caller must add one.
    CredentialRequired,
    /// A derived token, which ends by itself or with its parent; the caller must name the parent.
    DerivedTokenNotRevocable,
    /// A derived token where the credential of a key is needed; the caller must show that.
    InvalidTokenType,
    /// The key has expired; the caller must show another.
    ApiKeyExpired,
    /// No key has the credential from which a token is to be derived; the caller must show another.
    ParentKeyInvalid,
    /// The key does not allow it; the caller must ask for less, or show another.
    Forbidden,
    /// The key may not be used from this address; the caller must ask from another.
    IpNotAllowed,
    /// Nobody made this credential; the caller must show another.
    UnknownCredential,
    /// No credential where one belongs; the caller must add it.
    Unauthorized,
    /// No such route; the caller must change the path.
    NotFound,
    /// No such key; the caller must ask for another.
    ApiKeyNotFound,
    /// The path exists, for other methods.
    MethodNotAllowed,
    /// The request did not arrive in time; the caller may retry.
    RequestTimeout,
    /// The state of the key does not allow it; the caller must ask for something else.
    FailedPrecondition,
    /// The key is known already; the caller has nothing more to do, or means another one.
    ApiKeyExists,
    /// The log does not hold the changes asked for; the caller must read the keys anew.
    PositionGone,
    /// The tenant has as many keys as it may have; the caller must revoke one.
    ApiKeyQuotaExceeded,
    /// The body is over the limit; the caller must send less.
    PayloadTooLarge,
    /// The request target is over the limit; the caller must send less.
    UriTooLong,
    /// An `Expect` header that nobody understands.
    ExpectationFailed,
    /// The head is over the limit; the caller must send less.
    HeaderFieldsTooLarge,
    /// A defect or a failed disk; for the operator.
    InternalServerError,
    /// The server behind a proxy gave no answer that makes sense; the caller may retry.
    BadGateway,
    /// Too much to do, or no writes at present; the caller may retry after the time given.
    ServiceUnavailable,
    /// The outcome is not known in time; the caller may ask again, with the same `request_id`.
    GatewayTimeout,
    /// An HTTP version other than 1.0 and 1.1.
    HttpVersionNotSupported,
}

impl Reason {
    /// The HTTP status, the gRPC status of the envelope, and the reason's name in it.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "INVALID_ARGUMENT", "BAD_REQUEST"),
            Self::CredentialRequired => (400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED"),
            Self::DerivedTokenNotRevocable => {
                (400, "INVALID_ARGUMENT", "DERIVED_TOKEN_NOT_REVOCABLE")
            }
            Self::InvalidTokenType => (400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE"),
            Self::ApiKeyExpired => (401, "UNAUTHENTICATED", "API_KEY_EXPIRED"),
            Self::ParentKeyInvalid => (401, "UNAUTHENTICATED", "PARENT_KEY_INVALID"),
            Self::Forbidden => (403, "PERMISSION_DENIED", "FORBIDDEN"),
            Self::IpNotAllowed => (403, "PERMISSION_DENIED", "IP_NOT_ALLOWED"),
            Self::UnknownCredential => (400, "INVALID_ARGUMENT", "UNKNOWN_CREDENTIAL"),
            Self::Unauthorized => (401, "UNAUTHENTICATED", "UNAUTHORIZED"),
            Self::NotFound => (404, "NOT_FOUND", "NOT_FOUND"),
            Self::ApiKeyNotFound => (404, "NOT_FOUND", "API_KEY_NOT_FOUND"),
            Self::MethodNotAllowed => (405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED"),
            Self::RequestTimeout => (408, "DEADLINE_EXCEEDED", "REQUEST_TIMEOUT"),
            Self::FailedPrecondition => (409, "FAILED_PRECONDITION", "FAILED_PRECONDITION"),
            Self::ApiKeyExists => (409, "ALREADY_EXISTS", "API_KEY_EXISTS"),
            Self::PositionGone => (410, "OUT_OF_RANGE", "POSITION_GONE"),
            Self::ApiKeyQuotaExceeded => (402, "RESOURCE_EXHAUSTED", "API_KEY_QUOTA_EXCEEDED"),
            Self::PayloadTooLarge => (413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE"),
            Self::UriTooLong => (414, "INVALID_ARGUMENT", "URI_TOO_LONG"),
            Self::ExpectationFailed => (417, "INVALID_ARGUMENT", "EXPECTATION_FAILED"),
            Self::HeaderFieldsTooLarge => {
                (431, "INVALID_ARGUMENT", "REQUEST_HEADER_FIELDS_TOO_LARGE")
            }
            Self::InternalServerError => (500, "INTERNAL", "INTERNAL_SERVER_ERROR"),
            Self::BadGateway => (502, "UNAVAILABLE", "BAD_GATEWAY"),
            Self::ServiceUnavailable => (503, "UNAVAILABLE", "SERVICE_UNAVAILABLE"),
            Self::GatewayTimeout => (504, "DEADLINE_EXCEEDED", "GATEWAY_TIMEOUT"),
            Self::HttpVersionNotSupported => (505, "UNIMPLEMENTED", "HTTP_VERSION_NOT_SUPPORTED"),
        }
    }
}

/// A failed request, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    reason: Reason,
    message: Cow<'static, str>,
    allow: Option<&'static str>,
    retry_after_s: Option<u32>,
}

impl ApiError {
    fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            allow: None,
            retry_after_s: None,
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
        Self::new(Reason::BadRequest, format!("{field}: {message}"))
    }

    /// The same error of a value that lies within `place` of a larger body.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        let message = format!("{place}.{}", self.message).into();
        Self { message, ..self }
    }

    /// 400: a verification without a credential.
    #[must_use]
    pub fn credential_required() -> Self {
        Self::new(
            Reason::CredentialRequired,
            "credential: is required and must not be empty",
        )
    }

    /// 400: a derived token cannot be revoked, only its parent.
    #[must_use]
    pub fn derived_token_not_revocable() -> Self {
        Self::new(
            Reason::DerivedTokenNotRevocable,
            "credential: a derived token cannot be revoked; revoke the API key that it comes from",
        )
    }

    /// 400: a derived token where the credential of a key is needed.
    #[must_use]
    pub fn invalid_token_type() -> Self {
        Self::new(
            Reason::InvalidTokenType,
            "credential: no token can be derived from a derived token; show the credential of the API key",
        )
    }

    /// 401: the key has expired.
    #[must_use]
    pub fn api_key_expired() -> Self {
        Self::new(Reason::ApiKeyExpired, "the API key has expired")
    }

    /// 401: the credential from which a token is to be derived belongs to no key.
    #[must_use]
    pub fn parent_key_invalid() -> Self {
        Self::new(
            Reason::ParentKeyInvalid,
            "credential: no API key has this credential",
        )
    }

    /// 403: the key does not allow it, as `message` says.
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

    /// 400: a credential that is to be revoked belongs to no key.
    #[must_use]
    pub fn unknown_credential() -> Self {
        Self::new(
            Reason::UnknownCredential,
            "credential: no API key has this credential",
        )
    }

    /// 401 with `WWW-Authenticate`: the `Authorization` field shows no bearer credential (RFC 6750 §3).
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(
            Reason::Unauthorized,
            "a credential is required: Authorization: Bearer CREDENTIAL",
        )
    }

    /// 404: no route has this path.
    #[must_use]
    pub fn not_found_route() -> Self {
        Self::new(Reason::NotFound, "no such route")
    }

    /// 404: the tenant has no key of this id.
    #[must_use]
    pub fn api_key_not_found() -> Self {
        Self::new(Reason::ApiKeyNotFound, "no such API key")
    }

    /// 409: a key of this id is known already.
    #[must_use]
    pub fn api_key_exists() -> Self {
        Self::new(Reason::ApiKeyExists, "the API key exists already")
    }

    /// 402: the tenant has as many keys that are not revoked as it may have.
    #[must_use]
    pub fn api_key_quota_exceeded() -> Self {
        Self::new(
            Reason::ApiKeyQuotaExceeded,
            "the quota of API keys is reached; revoke one that is not needed",
        )
    }

    /// 405: the route has other methods. `allow` lists them as the `Allow` header does (RFC 9110 §10.2.1).
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

    /// 409: the state of the key does not allow it, as `message` says.
    #[must_use]
    pub fn failed_precondition(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Reason::FailedPrecondition, message)
    }

    /// 410: the log does not hold what follows a position, as `message` says.
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

    /// 417: an expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[must_use]
    pub fn expectation_failed() -> Self {
        Self::new(
            Reason::ExpectationFailed,
            "only 100-continue can be expected",
        )
    }

    /// 431: the request line and headers are over the limit (RFC 6585 §5).
    #[must_use]
    pub fn head_too_large() -> Self {
        Self::new(
            Reason::HeaderFieldsTooLarge,
            "the request head is too large",
        )
    }

    /// 500: a defect or a failed disk. The cause belongs in the log, not in this answer.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Reason::InternalServerError, "an internal error occurred")
    }

    /// 502: the server behind gave no answer, or none that is HTTP. It may have done what it was asked.
    #[must_use]
    pub fn bad_gateway() -> Self {
        Self::new(
            Reason::BadGateway,
            "the upstream gave no answer; what was asked may still have been done",
        )
    }

    /// 503 with `Retry-After`: nothing was done, and the same request may succeed in a moment.
    #[must_use]
    pub fn service_unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            retry_after_s: Some(RETRY_AFTER_BUSY_S),
            ..Self::new(Reason::ServiceUnavailable, message)
        }
    }

    /// The same, with another `Retry-After`, in seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    /// The same, in other words.
    pub(crate) fn with_message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            ..self
        }
    }

    /// 504: the outcome is not known; the change may still happen.
    #[must_use]
    pub fn gateway_timeout() -> Self {
        Self::new(
            Reason::GatewayTimeout,
            "storage did not answer in time; the change may still take effect",
        )
    }

    /// 504: the server behind did not answer in time; the change may still happen.
    #[must_use]
    pub fn upstream_timeout() -> Self {
        Self::new(
            Reason::GatewayTimeout,
            "the upstream did not answer in time; the change may still take effect",
        )
    }

    /// 505: an HTTP version that is not spoken here.
    #[must_use]
    pub fn http_version_not_supported() -> Self {
        Self::new(
            Reason::HttpVersionNotSupported,
            "only HTTP/1.0 and HTTP/1.1 are spoken here",
        )
    }

    /// Why the request failed, as a program reads it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.reason.parts().0
    }

    /// The headers that belong to this answer, `Content-Type` included: `Allow` with a 405, `Retry-After` (in seconds)
    /// with a 503, `WWW-Authenticate` with `unauthorized`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Content-Type", CONTENT_TYPE.to_owned())];
        headers.extend(self.allow.map(|allow| ("Allow", allow.to_owned())));
        headers.extend(
            self.retry_after_s
                .map(|seconds| ("Retry-After", seconds.to_string())),
        );
        if self.reason == Reason::Unauthorized {
            headers.push(("WWW-Authenticate", "Bearer".to_owned()));
        }
        headers
    }

    /// The envelope: `{"error":{code, status, message, details}}` with one `google.rpc.ErrorInfo`.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        let (code, grpc, reason) = self.reason.parts();
        let details = [ErrorInfo {
            kind: "type.googleapis.com/google.rpc.ErrorInfo",
            reason,
            domain: "www.ory.com/talos",
            metadata: Metadata {},
        }];
        json::render(&Envelope {
            error: Status {
                code,
                grpc,
                message: &self.message,
                details,
            },
        })
    }
}

/// A failed request.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErrorResponse")]
pub(crate) struct Envelope<'a> {
    /// What failed.
    error: Status<'a>,
}

/// What failed, after google.rpc.Status.
#[derive(Serialize, JsonSchema)]
struct Status<'a> {
    /// The HTTP status.
    #[schemars(with = "i32")]
    code: u16,
    /// The name of the gRPC status.
    #[serde(rename = "status")]
    grpc: &'static str,
    /// For people.
    message: &'a str,
    /// For programs: one entry.
    #[schemars(with = "Vec<ErrorInfo>")]
    details: [ErrorInfo; 1],
}

/// What failed, for programs, after google.rpc.ErrorInfo.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Any")]
struct ErrorInfo {
    /// The type of the entry.
    #[serde(rename = "@type")]
    kind: &'static str,
    /// Why the request failed.
    reason: &'static str,
    /// Whose reasons these are.
    domain: &'static str,
    /// Nothing so far.
    #[schemars(with = "FreeObject")]
    metadata: Metadata,
}

#[derive(Serialize)]
struct Metadata {}

impl From<ApiError> for ControlResponse {
    fn from(error: ApiError) -> Self {
        Self {
            status: error.status(),
            headers: error.headers(),
            body: error.to_body(),
            rest: None,
        }
    }
}

#[cfg(test)]
mod tests;
