//! How a failed request is answered: the error envelope and its headers.

use schemars::JsonSchema;
use serde::Serialize;

use super::ApiError;
use super::metadata::Metadata;
use crate::control::response::{CONTENT_TYPE, ControlResponse};
use crate::render;
use crate::schema::FreeObject;

impl ApiError {
    /// The headers of the answer: `Content-Type`; `Allow` with a 405; `Accept-Encoding` with a 415
    /// for a content coding; `Retry-After` (in seconds) with a 429 or a 503; `WWW-Authenticate`
    /// with `unauthorized`.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Content-Type", CONTENT_TYPE.to_owned())];
        headers.extend(self.allow.map(|allow| ("Allow", allow.to_owned())));
        let coding = self.accept_encoding;
        headers.extend(coding.map(|coding| ("Accept-Encoding", coding.to_owned())));
        headers.extend(
            self.retry_after_s
                .map(|seconds| ("Retry-After", seconds.to_string())),
        );
        headers.extend(
            self.challenge
                .map(|challenge| ("WWW-Authenticate", challenge.to_owned())),
        );
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
            metadata: self.shown_metadata(),
        }];
        render::json(&Envelope {
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
    /// What failed, for people.
    message: &'a str,
    /// What failed, for programs: one entry.
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
    /// The domain of the reason.
    domain: &'static str,
    /// What the error is about, where that is known: `key_id`, `actor_id`, `token_id`, `field`,
    /// `limit`, `signing_key_id`, `retry_after_s`. All values are strings.
    #[schemars(with = "FreeObject")]
    metadata: Metadata,
}

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
