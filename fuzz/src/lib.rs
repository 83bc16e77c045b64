//! Shared by fuzz targets: changes to valid texts, claims of tokens, an independent macaroon
//! writer, and percent-encoding.

pub mod claims;
pub mod edits;
pub mod macaroon;

/// `text` with every byte escaped (RFC 3986 §2.1), so that no character has a meaning in a query.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
