//! Text of others, for a terminal. Control characters are escaped, so that the name of a key cannot
//! control the terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with its control characters escaped.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// A JSON document with the control characters escaped that JSON allows in texts: U+007F to U+009F.
/// It means the same as before.
pub(crate) fn printable_json(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(is_bad) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_bad(character) {
            // Writing to a string does not fail.
            let _ = write!(written, "\\u{:04x}", u32::from(character));
        } else {
            written.push(character);
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same() {
        let text = "\u{7f}\u{80}\u{9b}31m\u{9f}\u{a0}é\u{1b}\t";
        let json = serde_json::to_string(text).expect("JSON");
        let written = printable_json(&json);
        assert!(!written.contains(char::is_control), "{written:?}");
        assert_eq!(
            serde_json::from_str::<String>(&written).expect("JSON"),
            text
        );
        let indented = "{\n\t\"a\": 1\n}";
        assert_eq!(printable_json(indented), indented);
    }
}
