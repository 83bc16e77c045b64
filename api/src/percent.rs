//! Percent-encoding (RFC 3986 §2.1).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Decodes `encoded` exactly once. `None` when an escape is incomplete or the bytes are not UTF-8.
pub(crate) fn decode(encoded: &str) -> Option<Cow<'_, str>> {
    // The decoder would keep a `%` that begins no escape.
    let mut escapes = encoded.split('%').skip(1);
    let are_whole = escapes.all(|escape| match escape.as_bytes() {
        [high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    });
    if !are_whole {
        return None;
    }
    percent_decode_str(encoded).decode_utf8().ok()
}
