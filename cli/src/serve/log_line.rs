//! Lines of the log with what clients sent in them.
//!
//! A control character in a value could start a new line of the log or control the terminal that
//! shows it. The formatter escapes some of them; this module escapes the rest.

use std::borrow::Cow;
use std::fmt::Write as _;

/// How a character is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escapes {
    /// As in Rust, for lines of text: `\u{9b}`.
    Text,
    /// As in Rust, for lines of text that the formatter colours: its own escapes stay.
    ColouredText,
    /// As in JSON: `\u009b`.
    Json,
}

/// `line` with its control characters escaped, except for the line feed at its end.
pub(super) fn escaped(line: &[u8], escapes: Escapes) -> Cow<'_, [u8]> {
    let is_suspect = |byte: &u8| *byte < b' ' || *byte == 0x7f || *byte == 0xc2;
    let (text, end) = match line.split_last() {
        Some((b'\n', text)) => (text, true),
        _ => (line, false),
    };
    if !text.iter().any(is_suspect) {
        return Cow::Borrowed(line);
    }
    // The formatter writes UTF-8, so nothing is replaced here.
    let text = String::from_utf8_lossy(text);
    let mut written = String::with_capacity(line.len() + 16);
    let mut rest = &*text;
    while let Some(character) = rest.chars().next() {
        let colour = match escapes {
            Escapes::ColouredText => colour(rest),
            Escapes::Text | Escapes::Json => "",
        };
        if !colour.is_empty() {
            written.push_str(colour);
            rest = rest.get(colour.len()..).unwrap_or_default();
            continue;
        }
        if !character.is_control() {
            written.push(character);
        } else if escapes == Escapes::Json {
            // Writing to a string does not fail.
            let _ = write!(written, "\\u{:04x}", u32::from(character));
        } else {
            written.extend(character.escape_default());
        }
        rest = rest.get(character.len_utf8()..).unwrap_or_default();
    }
    if end {
        written.push('\n');
    }
    Cow::Owned(written.into_bytes())
}

/// The escape sequence for a colour at the beginning of `text`: `ESC [ 32 m`. Empty if there is
/// none. The formatter escapes ESC in values, so this one is its own.
fn colour(text: &str) -> &str {
    let Some(numbers) = text.strip_prefix("\u{1b}[") else {
        return "";
    };
    let length = numbers
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b';')
        .count();
    if numbers.as_bytes().get(length) == Some(&b'm') {
        text.get(..length + 3).unwrap_or_default()
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &str, escapes: Escapes) -> String {
        String::from_utf8(escaped(line.as_bytes(), escapes).into_owned()).expect("UTF-8")
    }

    #[test]
    fn control_characters_are_escaped_in_every_form() {
        for control in (0..=0x9f_u8).map(char::from).filter(|c| c.is_control()) {
            let line = format!("a{control}é\n");
            for escapes in [Escapes::Text, Escapes::ColouredText, Escapes::Json] {
                let written = written(&line, escapes);
                let kept = written.strip_suffix("é\n").expect("the rest");
                assert!(!kept.contains(char::is_control), "{control:?}: {kept:?}");
            }
            let json = written(&format!("\"{control}\""), Escapes::Json);
            let read: String = serde_json::from_str(&json).expect("JSON");
            assert_eq!(read, control.to_string());
        }
        assert_eq!(written("a\u{9b}31m\n", Escapes::Text), "a\\u{9b}31m\n");
        assert_eq!(written("a\nb\n", Escapes::Text), "a\\nb\n");
    }

    #[test]
    fn other_lines_and_colours_stay_as_they_are() {
        for line in ["", "\n", "a\n", "é€😀 \u{a0}\n", "no line feed"] {
            for escapes in [Escapes::Text, Escapes::ColouredText, Escapes::Json] {
                assert_eq!(written(line, escapes), line);
            }
        }
        let coloured = "\u{1b}[2mtime\u{1b}[0m \u{1b}[1;32m INFO\u{1b}[m\n";
        assert_eq!(written(coloured, Escapes::ColouredText), coloured);
        assert!(!written(coloured, Escapes::Text).contains('\u{1b}'));
        let other = written("\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[", Escapes::ColouredText);
        assert!(!other.contains(char::is_control), "{other:?}");
    }
}
