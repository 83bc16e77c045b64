//! Why a request failed. Only this file pairs a reason with an HTTP status and a gRPC status.

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
    pub(super) const fn parts(self) -> (u16, &'static str, &'static str) {
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
