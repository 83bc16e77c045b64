//! How answers are written.

use std::fmt::Display;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Writes `value` as JSON without insignificant white space.
pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for maps whose keys are not strings, and no answer has one. An
    // empty object says nothing, so a client never takes it for a valid credential.
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// Writes a field as the string that `value` displays.
pub(crate) fn as_text<S: Serializer>(
    value: &impl Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The JSON object in `text`, to be written verbatim, so that its numbers and the order of its
/// names stay as the client gave them. `None` when `text` is empty.
pub(crate) fn verbatim(text: &str) -> Option<&RawValue> {
    // The reader made sure that the text is an object, so only the empty text fails here.
    serde_json::from_str(text).ok()
}
