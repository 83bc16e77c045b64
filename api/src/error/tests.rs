//! The exact bytes of the envelope.

use super::*;

fn body(error: &ApiError) -> String {
    String::from_utf8(error.to_body()).expect("UTF-8")
}

#[test]
fn the_envelope_is_exact() {
    assert_eq!(
        body(&ApiError::credential_required()),
        r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"credential: is required and must not be empty","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"CREDENTIAL_REQUIRED","domain":"www.ory.com/talos","metadata":{"field":"credential"}}]}}"#
    );
    assert_eq!(
        body(&ApiError::api_key_not_found()),
        r#"{"error":{"code":404,"status":"NOT_FOUND","message":"no such API key","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_NOT_FOUND","domain":"www.ory.com/talos","metadata":{}}]}}"#
    );
}

/// Each error with its HTTP status, its gRPC status and its reason.
#[track_caller]
fn assert_parts(table: &[(ApiError, u16, &str, &str)]) {
    for (error, code, status, reason) in table {
        assert_eq!(error.status(), *code);
        let value: serde_json::Value = serde_json::from_slice(&error.to_body()).expect("JSON");
        assert_eq!(value["error"]["code"], *code);
        assert_eq!(value["error"]["status"], *status);
        assert_eq!(value["error"]["details"][0]["reason"], *reason);
    }
}

#[test]
fn statuses_and_reasons_of_derivations() {
    let (unauthenticated, denied) = ("UNAUTHENTICATED", "PERMISSION_DENIED");
    assert_parts(&[
        (
            ApiError::api_key_expired(),
            401,
            unauthenticated,
            "API_KEY_EXPIRED",
        ),
        (
            ApiError::api_key_revoked(),
            401,
            unauthenticated,
            "API_KEY_REVOKED",
        ),
        (
            ApiError::parent_key_invalid(),
            401,
            unauthenticated,
            "PARENT_KEY_INVALID",
        ),
        (ApiError::forbidden("x"), 403, denied, "FORBIDDEN"),
        (ApiError::ip_not_allowed(), 403, denied, "IP_NOT_ALLOWED"),
    ]);
}

#[test]
fn statuses_and_reasons_of_keys() {
    let invalid = "INVALID_ARGUMENT";
    assert_parts(&[
        (ApiError::bad_request("x"), 400, invalid, "BAD_REQUEST"),
        (
            ApiError::invalid_field("f", "x"),
            400,
            invalid,
            "BAD_REQUEST",
        ),
        (
            ApiError::credential_required(),
            400,
            invalid,
            "CREDENTIAL_REQUIRED",
        ),
        (
            ApiError::derived_token_not_revocable(),
            400,
            invalid,
            "DERIVED_TOKEN_NOT_REVOCABLE",
        ),
        (
            ApiError::invalid_token_type(),
            400,
            invalid,
            "INVALID_TOKEN_TYPE",
        ),
        (
            ApiError::unknown_credential(),
            400,
            invalid,
            "UNKNOWN_CREDENTIAL",
        ),
        (
            ApiError::api_key_exists(),
            409,
            "ALREADY_EXISTS",
            "API_KEY_EXISTS",
        ),
        (
            ApiError::admin_token_name_taken(),
            409,
            "ALREADY_EXISTS",
            "CONFLICT",
        ),
        (
            ApiError::admin_token_not_found(),
            404,
            "NOT_FOUND",
            "NOT_FOUND",
        ),
        (
            ApiError::api_key_quota_exceeded(7),
            402,
            "PERMISSION_DENIED",
            "API_KEY_QUOTA_EXCEEDED",
        ),
        (
            ApiError::api_key_not_found(),
            404,
            "NOT_FOUND",
            "API_KEY_NOT_FOUND",
        ),
        (
            ApiError::failed_precondition("x"),
            409,
            "FAILED_PRECONDITION",
            "FAILED_PRECONDITION",
        ),
    ]);
}

#[test]
fn statuses_and_reasons_of_http() {
    let invalid = "INVALID_ARGUMENT";
    assert_parts(&[
        (
            ApiError::unauthorized(),
            401,
            "UNAUTHENTICATED",
            "UNAUTHORIZED",
        ),
        (ApiError::not_found_route(), 404, "NOT_FOUND", "NOT_FOUND"),
        (
            ApiError::method_not_allowed("GET"),
            405,
            "UNIMPLEMENTED",
            "METHOD_NOT_ALLOWED",
        ),
        (
            ApiError::timeout(),
            408,
            "DEADLINE_EXCEEDED",
            "REQUEST_TIMEOUT",
        ),
        (
            ApiError::payload_too_large(),
            413,
            invalid,
            "PAYLOAD_TOO_LARGE",
        ),
        (ApiError::uri_too_long(), 414, invalid, "URI_TOO_LONG"),
        (
            ApiError::unsupported_media_type(),
            415,
            invalid,
            "UNSUPPORTED_MEDIA_TYPE",
        ),
        (
            ApiError::expectation_failed(),
            417,
            invalid,
            "EXPECTATION_FAILED",
        ),
        (
            ApiError::head_too_large(),
            431,
            invalid,
            "REQUEST_HEADER_FIELDS_TOO_LARGE",
        ),
        (
            ApiError::internal(),
            500,
            "INTERNAL",
            "INTERNAL_SERVER_ERROR",
        ),
        (
            ApiError::service_unavailable("x"),
            503,
            "UNAVAILABLE",
            "SERVICE_UNAVAILABLE",
        ),
        (ApiError::bad_gateway(), 502, "UNAVAILABLE", "BAD_GATEWAY"),
        (
            ApiError::upstream_timeout(),
            504,
            "DEADLINE_EXCEEDED",
            "GATEWAY_TIMEOUT",
        ),
        (
            ApiError::gateway_timeout(),
            504,
            "DEADLINE_EXCEEDED",
            "GATEWAY_TIMEOUT",
        ),
        (
            ApiError::http_version_not_supported(),
            505,
            "UNIMPLEMENTED",
            "HTTP_VERSION_NOT_SUPPORTED",
        ),
    ]);
}

#[test]
fn headers_belong_to_their_errors() {
    let table = [
        (ApiError::internal(), None),
        (
            ApiError::unauthorized(),
            Some(("WWW-Authenticate", "Bearer")),
        ),
        (
            ApiError::unauthenticated("x"),
            Some(("WWW-Authenticate", "Bearer realm=\"talos\"")),
        ),
        (
            ApiError::method_not_allowed("GET, HEAD"),
            Some(("Allow", "GET, HEAD")),
        ),
        (
            ApiError::service_unavailable("x"),
            Some(("Retry-After", "1")),
        ),
        (
            ApiError::service_unavailable("x").retry_after(30),
            Some(("Retry-After", "30")),
        ),
    ];
    for (error, header) in table {
        let mut headers = vec![("Content-Type", "application/json".to_owned())];
        headers.extend(header.map(|(name, value)| (name, value.to_owned())));
        assert_eq!(error.headers(), headers);
    }
}

#[test]
fn messages_with_any_text_stay_json() {
    for text in ["\"", "\\", "\u{0}\u{1f}\n", "\u{2028}", "🔑", "</script>"] {
        let error = ApiError::bad_request(text.to_owned());
        let value: serde_json::Value = serde_json::from_slice(&error.to_body()).expect("JSON");
        assert_eq!(value["error"]["message"], text);
    }
}
