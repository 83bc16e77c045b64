//! The outcome of one item of a batch import.

use serde::{Deserialize, Serialize};

const CODE: &str = "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_";

/// The outcome of one item.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Outcome {
    /// The index of the item in the array, from 0.
    pub(super) index: usize,
    #[serde(flatten)]
    pub(super) end: End,
}

/// How an item ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum End {
    /// The key was imported.
    Imported {
        /// The id of the key.
        key_id: String,
    },
    /// The key existed already.
    Exists,
    /// The key was not imported.
    Failed {
        /// The server's code.
        error_code: String,
        /// The server's message.
        error_message: String,
    },
}

impl Outcome {
    /// Whether sending the item again would change nothing.
    pub(super) fn is_done(&self) -> bool {
        !matches!(self.end, End::Failed { .. })
    }
}

impl End {
    /// The end of an item that the server did not import.
    pub(super) fn refused(error_code: String, error_message: String) -> Self {
        if error_code.strip_prefix(CODE) == Some("ALREADY_EXISTS") {
            return Self::Exists;
        }
        Self::Failed {
            error_code,
            error_message,
        }
    }

    /// The end of an item that was sent alone and refused for this reason.
    pub(super) fn refused_alone(reason: &str, error_message: String) -> Self {
        let error_code = code_of(reason).to_owned();
        if reason == "CONFLICT" {
            // Another key was imported under the request id of the item. This one was not.
            return Self::Failed {
                error_code,
                error_message,
            };
        }
        Self::refused(error_code, error_message)
    }
}

/// The error code of an item whose request was refused for this reason.
fn code_of(reason: &str) -> &'static str {
    match reason {
        "API_KEY_EXISTS" | "CONFLICT" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS",
        "FAILED_PRECONDITION" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_FAILED_PRECONDITION",
        "API_KEY_QUOTA_EXCEEDED" => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_RESOURCE_EXHAUSTED",
        _ => "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_INVALID_ARGUMENT",
    }
}
