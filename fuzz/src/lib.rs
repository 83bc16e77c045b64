//! What several fuzz targets share: changes to a text that was valid, claims of tokens, macaroons by hand, and percent-encoding.

pub mod claims;
pub mod edits;
pub mod macaroon;

/// `text` with every byte escaped (RFC 3986 §2.1), so that no character means anything to the reader of a query.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
