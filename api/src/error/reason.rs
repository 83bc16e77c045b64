//! Why a request failed. Only this file pairs a reason with an HTTP status and a gRPC status.

/// Why a request failed, for programs. Each variant says what the client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request breaks the contract. Change the request.
    BadRequest,
    /// The request has no credential. Add one.
    CredentialRequired,
    /// A derived token cannot be revoked. Revoke its parent key.
    DerivedTokenNotRevocable,
    /// A derived token instead of the credential of a key. Send that.
    InvalidTokenType,
    /// The key has expired. Use another key.
    ApiKeyExpired,
    /// The key has been revoked. Use another key.
    ApiKeyRevoked,
    /// No key has the credential from which a token is derived. Use another key.
    ParentKeyInvalid,
    /// The key does not permit the request. Ask for less, or use another key.
    Forbidden,
    /// The key may not be used from this address. Use an allowed address.
    IpNotAllowed,
    /// No key has this credential. Use another one.
    UnknownCredential,
    /// The request has no bearer credential, or no principal that the route accepts. Add one.
    Unauthorized,
    /// No route has this path, or no admin token has this id. Change the path.
    NotFound,
    /// No key has this id. Use another id.
    ApiKeyNotFound,
    /// The route has other methods. Use one of them.
    MethodNotAllowed,
    /// The request did not arrive in time. Retry.
    RequestTimeout,
    /// The state of the key or the node does not permit the request. Change the state first.
    FailedPrecondition,
    /// The key was imported before. There is nothing left to do, or another key was meant.
    ApiKeyExists,
    /// Another thing has this name. Choose another name.
    Conflict,
    /// The log does not hold the requested changes. Read the keys anew.
    PositionGone,
    /// The tenant has reached its quota of keys. Revoke one.
    ApiKeyQuotaExceeded,
    /// The body is over the limit. Send less.
    PayloadTooLarge,
    /// The request target is over the limit. Send less.
    UriTooLong,
    /// The body has another type than JSON, or a content coding. Send plain JSON.
    UnsupportedMediaType,
    /// The client has failed too often. Retry after the given time.
    TooManyRequests,
    /// An unknown `Expect` header. Leave it out.
    ExpectationFailed,
    /// The request head is over the limit. Send less.
    HeaderFieldsTooLarge,
    /// A bug or a failed disk. The operator has to act.
    InternalServerError,
    /// The upstream of a proxy gave no valid answer. Retry.
    BadGateway,
    /// The server is overloaded or takes no changes. Retry after the given time.
    ServiceUnavailable,
    /// The outcome is unknown. Retry with the same `request_id`.
    GatewayTimeout,
    /// An HTTP version other than 1.0 and 1.1. Use one of these.
    HttpVersionNotSupported,
}

impl Reason {
    /// The name of the reason in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().2
    }

    /// The HTTP status, the gRPC status, and the name of the reason.
    pub(super) const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "INVALID_ARGUMENT", "BAD_REQUEST"),
            Self::CredentialRequired => (400, "INVALID_ARGUMENT", "CREDENTIAL_REQUIRED"),
            Self::DerivedTokenNotRevocable => {
                (400, "INVALID_ARGUMENT", "DERIVED_TOKEN_NOT_REVOCABLE")
            }
            Self::InvalidTokenType => (400, "INVALID_ARGUMENT", "INVALID_TOKEN_TYPE"),
            Self::ApiKeyExpired => (401, "UNAUTHENTICATED", "API_KEY_EXPIRED"),
            Self::ApiKeyRevoked => (401, "UNAUTHENTICATED", "API_KEY_REVOKED"),
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
            Self::Conflict => (409, "ALREADY_EXISTS", "CONFLICT"),
            Self::PositionGone => (410, "OUT_OF_RANGE", "POSITION_GONE"),
            Self::ApiKeyQuotaExceeded => (402, "PERMISSION_DENIED", "API_KEY_QUOTA_EXCEEDED"),
            Self::PayloadTooLarge => (413, "INVALID_ARGUMENT", "PAYLOAD_TOO_LARGE"),
            Self::UriTooLong => (414, "INVALID_ARGUMENT", "URI_TOO_LONG"),
            Self::UnsupportedMediaType => (415, "INVALID_ARGUMENT", "UNSUPPORTED_MEDIA_TYPE"),
            Self::ExpectationFailed => (417, "INVALID_ARGUMENT", "EXPECTATION_FAILED"),
            Self::TooManyRequests => (429, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS"),
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
