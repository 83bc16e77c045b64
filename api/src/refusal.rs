//! What a client is told of a credential that is refused. Every body is a constant: one refusal has one body.

use talos_engine::Refusal;

/// Declares the bodies and their codes from the same lines.
macro_rules! refusals {
    ($($refusal:ident $code:literal $message:literal,)+) => {
        /// The body that says why a credential is refused. It tells nothing of the key: one refusal has one body.
        #[must_use]
        pub fn refused_body(refusal: Refusal) -> &'static [u8] {
            match refusal {
                $(Refusal::$refusal => concat!(
                    r#"{"is_valid":false,"is_active":false,"error_code":"VERIFICATION_ERROR_"#,
                    $code,
                    r#"","error_message":""#,
                    $message,
                    r#""}"#
                )
                .as_bytes(),)+
            }
        }

        /// The `error_code` of every refusal.
        pub(crate) const ERROR_CODES: &[&str] = &[$(concat!("VERIFICATION_ERROR_", $code)),+];
    };
}

refusals! {
    InvalidFormat "INVALID_FORMAT" "the credential has no known format",
    Expired "EXPIRED" "the credential has expired",
    Revoked "REVOKED" "the credential has been revoked",
    NotFound "NOT_FOUND" "the credential is not known",
    SignatureInvalid "SIGNATURE_INVALID" "the signature of the credential is not valid",
    Internal "INTERNAL" "the credential could not be looked up; try again",
    IpNotAllowed "IP_NOT_ALLOWED" "the credential may not be used from this address",
    RateLimited "RATE_LIMITED" "the credential is used too often; try again later",
    AudienceMismatch "AUDIENCE_MISMATCH" "the credential is meant for another audience",
}
