//! What the API says about a refused credential. Every refusal has one constant body.

use talos_model::Refusal;

use crate::names::{Enumeration as _, enumeration};

/// Declares the code and the body of each refusal.
macro_rules! refusals {
    ($($refusal:ident $code:literal $message:literal,)+) => {
        enumeration! {
            /// Why a credential is refused.
            VerificationErrorCode(Refusal) or "VERIFICATION_ERROR_UNSPECIFIED" {
                $($refusal => concat!("VERIFICATION_ERROR_", $code),)+
            }
        }

        /// The body that says why a credential is refused. It tells nothing about the key.
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
    };
}

/// The code that says why a credential is refused.
#[must_use]
pub fn refused_code(refusal: Refusal) -> &'static str {
    VerificationErrorCode::name(refusal)
}

refusals! {
    InvalidFormat "INVALID_FORMAT" "the credential has no known format",
    Expired "EXPIRED" "the credential has expired",
    Revoked "REVOKED" "the credential has been revoked",
    NotFound "NOT_FOUND" "the credential is not known",
    SignatureInvalid "SIGNATURE_INVALID" "the signature of the credential is not valid",
    Internal "INTERNAL" "the credential could not be looked up; try again",
    IpNotAllowed "IP_NOT_ALLOWED" "the credential may not be used from this address",
    RateLimited "RATE_LIMITED" "rate limit exceeded",
    AudienceMismatch "AUDIENCE_MISMATCH" "the credential is meant for another audience",
    AnswerTooLarge "ANSWER_TOO_LARGE" "the results of the batch are too large together; verify this credential in a smaller batch",
}
