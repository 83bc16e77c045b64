//! Test vectors of other projects. `SOURCES.md` says where the data comes from.

mod ed25519;
mod jws;
mod other_libraries;

use serde_json::Value;

/// Parses a file as JSON.
pub(super) fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The bytes of a hexadecimal text.
pub(super) fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap();
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

/// The items of a JSON array.
pub(super) fn items(array: &Value) -> &[Value] {
    array.as_array().unwrap()
}
