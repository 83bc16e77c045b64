//! Verifying many credentials at once: `POST /v2alpha1/admin/apiKeys:batchVerify`. Each request of
//! the batch is read like a single verification, and each result is the body of its answer.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use talos_model::Refusal;

use crate::error::ApiError;
use crate::json::{self, Field, Kind, Object};
use crate::limits;
use crate::names::Named;
use crate::refusal::VerificationErrorCode;
use crate::render;
use crate::verify::{self, VerifyRequest};

const REQUESTS: Field = Field::new(
    "requests",
    Kind::Objects {
        of: &verify::REQUEST,
        entries_max: limits::BATCH_VERIFY_REQUESTS,
    },
    "The credentials, at least one.",
)
.required();

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "BatchVerifyApiKeysRequest",
    about: "Credentials to verify.",
    fields: &[REQUESTS],
};

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow, default)]
    requests: Option<&'a RawValue>,
}

/// One request of a batch, or why it is refused. The other requests of the batch are answered.
pub type BatchItem<'a> = Result<VerifyRequest<'a>, ApiError>;

/// Reads 1 to [`limits::BATCH_VERIFY_REQUESTS`] requests. The error of a bad request names its
/// position.
///
/// # Errors
/// 400 when the body itself breaks the contract.
pub fn parse_requests<'a>(body: &'a [u8]) -> Result<Vec<BatchItem<'a>>, ApiError> {
    let most = limits::BATCH_VERIFY_REQUESTS;
    let wrong_count = || {
        let message = format!("must have 1 to {most} entries");
        Err(ApiError::invalid_field(REQUESTS.name, &message).limit(most))
    };
    let Some(text) = json::object_text(body)? else {
        return wrong_count();
    };
    let batch: Batch<'_> = serde_json::from_str(text).map_err(|error| json::invalid(&error))?;
    let Some(requests) = batch.requests else {
        return wrong_count();
    };
    let requests: Vec<&RawValue> = serde_json::from_str(requests.get())
        .map_err(|_| ApiError::invalid_field(REQUESTS.name, "must be an array of objects"))?;
    if requests.is_empty() || requests.len() > most {
        return wrong_count();
    }
    let item = |(place, request): (usize, &'a RawValue)| {
        let place = format!("{}[{place}]", REQUESTS.name);
        if !request.get().starts_with('{') {
            return Err(ApiError::invalid_field(&place, "must be an object"));
        }
        let item = verify::parse_request(request.get().as_bytes());
        item.map_err(|error: ApiError| error.within(&place))
    };
    Ok(requests.into_iter().enumerate().map(item).collect())
}

/// The result of a request that was refused with `error`.
#[must_use]
pub fn render_refused(error: &ApiError) -> Vec<u8> {
    render::json(&RefusedItem {
        is_valid: false,
        is_active: false,
        error_code: Named(Refusal::InvalidFormat),
        error_message: &error.to_string(),
    })
}

#[derive(Serialize)]
struct RefusedItem<'a> {
    is_valid: bool,
    is_active: bool,
    error_code: Named<VerificationErrorCode>,
    error_message: &'a str,
}

/// The parts of the answer's body, made of the bodies of its results in order.
#[must_use]
pub fn render_results<'a>(results: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut parts: Vec<&[u8]> = vec![br#"{"results":["#];
    for (place, result) in results.enumerate() {
        if place > 0 {
            parts.push(b",");
        }
        parts.push(result);
    }
    parts.push(b"]}");
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;

    fn credentials(body: &str) -> Result<Vec<String>, ApiError> {
        let requests = parse_requests(body.as_bytes())?;
        let credential = |request: BatchItem<'_>| Ok(request?.credential.into_owned());
        requests.into_iter().map(credential).collect()
    }

    #[test]
    fn requests_are_read_in_order_whatever_their_form() {
        let body = r#"{"other":[1],"requests":[{"credential":"a"}, { "credential":"b\u0063","x":{} },{"credential":"d","expected_audiences":["e"]}]}"#;
        assert_eq!(
            credentials(body),
            Ok(["a", "bc", "d"].map(str::to_owned).to_vec())
        );
        let full = format!(
            r#"{{"requests":[{}]}}"#,
            vec![r#"{"credential":"a"}"#; 100].join(",")
        );
        assert_eq!(credentials(&full).map(|all| all.len()), Ok(100));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let over = format!(
            r#"{{"requests":[{}]}}"#,
            vec![r#"{"credential":"a"}"#; 101].join(",")
        );
        let table = [
            (
                "",
                Reason::BadRequest,
                "requests: must have 1 to 100 entries",
            ),
            (
                "{}",
                Reason::BadRequest,
                "requests: must have 1 to 100 entries",
            ),
            (
                r#"{"requests":null}"#,
                Reason::BadRequest,
                "requests: must have",
            ),
            (
                r#"{"requests":[]}"#,
                Reason::BadRequest,
                "requests: must have",
            ),
            (&over, Reason::BadRequest, "requests: must have"),
            (
                r#"{"requests":{}}"#,
                Reason::BadRequest,
                "requests: must be an array of objects",
            ),
            (
                r#"{"requests":[{"credential":"a"}],"requests":[]}"#,
                Reason::BadRequest,
                "not valid JSON",
            ),
            (
                r#"{"requests":[{"credential":"a"}]"#,
                Reason::BadRequest,
                "not valid JSON",
            ),
            ("[]", Reason::BadRequest, "must be a JSON object"),
            (
                r#"{"requests":[{"credential":"a"},null]}"#,
                Reason::BadRequest,
                "requests[1]",
            ),
            (
                r#"{"requests":[{"credential":"a"},{}]}"#,
                Reason::CredentialRequired,
                "requests[1].credential",
            ),
            (
                r#"{"requests":[{"credential":1}]}"#,
                Reason::BadRequest,
                "requests[0].credential",
            ),
        ];
        for (body, reason, message) in table {
            let error = credentials(body).expect_err(body);
            assert_eq!(error.reason(), reason, "{body}");
            assert!(error.to_string().contains(message), "{body}: {error}");
        }
        let deep = format!(
            r#"{{"requests":[{{"credential":"a","x":{}{}}}]}}"#,
            "[".repeat(40),
            "]".repeat(40)
        );
        assert!(
            credentials(&deep)
                .expect_err("too deep")
                .to_string()
                .contains("deeper")
        );
    }

    #[test]
    fn a_bad_request_spoils_no_other() {
        let long = format!(r#"{{"credential":"{}"}}"#, "a".repeat(8193));
        let mut bad = vec![
            "{}",
            "7",
            "null",
            "[]",
            "\"a\"",
            r#"{"credential":""}"#,
            r#"{"credential":7}"#,
            r#"{"credential":"a","credential":"b"}"#,
            r#"{"credential":"a","expected_audiences":"b"}"#,
            r#"{"credential":"a","expectedAudiences":[7]}"#,
        ];
        bad.push(&long);
        for bad in bad {
            let body =
                format!(r#"{{"requests":[{{"credential":"a"}},{bad},{{"credential":"c"}}]}}"#);
            let items = parse_requests(body.as_bytes()).expect("a batch");
            let credentials: Vec<_> = items
                .iter()
                .map(|item| item.as_ref().ok().map(|request| &*request.credential))
                .collect();
            assert_eq!(credentials, [Some("a"), None, Some("c")], "{bad}");
            let error = items[1].as_ref().err().expect("an error");
            assert!(error.to_string().starts_with("requests[1]"), "{error}");
            let result: serde_json::Value =
                serde_json::from_slice(&render_refused(error)).expect("JSON");
            assert_eq!(result["is_valid"], false);
            assert_eq!(result["error_code"], "VERIFICATION_ERROR_INVALID_FORMAT");
            assert_eq!(result["error_message"], error.to_string());
        }
    }

    #[test]
    fn results_stand_in_order() {
        assert_eq!(
            render_results([b"{}".as_slice(), b"{\"a\":1}"].into_iter()).concat(),
            br#"{"results":[{},{"a":1}]}"#
        );
    }
}
