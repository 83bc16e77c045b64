//! The items of an input: the elements of a JSON array, or one JSON object after the other (JSON
//! lines). A byte order mark, which some editors write, is no part of them.

use serde_json::Deserializer;
use serde_json::value::RawValue;
use zeroize::{Zeroize as _, Zeroizing};

const BYTE_ORDER_MARK: char = '\u{feff}';
/// The byte order marks of UTF-16, little-endian and big-endian.
const UTF_16: [[u8; 2]; 2] = [[0xff, 0xfe], [0xfe, 0xff]];

/// The input as text.
///
/// # Errors
/// Says what is wrong when it is not UTF-8.
pub(super) fn text(bytes: Vec<u8>) -> Result<Zeroizing<String>, String> {
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            let is_utf_16 = UTF_16.iter().any(|mark| bytes.starts_with(mark));
            bytes.zeroize();
            if is_utf_16 {
                "the text is UTF-16; save it as UTF-8".to_owned()
            } else {
                format!("the text is not UTF-8 from byte {place} on; save it as UTF-8")
            }
        })
}

/// The items of `text`, unchanged.
///
/// # Errors
/// Says what is wrong when there is none, or when it is neither an array nor JSON lines.
pub(super) fn parse(text: &str) -> Result<Vec<&RawValue>, String> {
    let content = text.trim_start_matches(is_between);
    if content.starts_with('[') {
        let items: Vec<&RawValue> = serde_json::from_str(content).map_err(|error| {
            let before = text.get(..text.len() - content.len()).unwrap_or_default();
            let line = line_after(before, error.line());
            format!("not a JSON array of keys: line {line}: {}", cause(&error))
        })?;
        if items.is_empty() {
            return Err("the array is empty".to_owned());
        }
        return Ok(items);
    }
    let items = lines(text)?;
    if items.is_empty() {
        return Err(
            "there is no key in it; write a JSON array, or one JSON object a line".to_owned(),
        );
    }
    Ok(items)
}

/// The objects of JSON lines. An object may also have line breaks in it.
fn lines(text: &str) -> Result<Vec<&RawValue>, String> {
    let mut items = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_between);
        let before = text.get(..text.len() - rest.len()).unwrap_or_default();
        if rest.is_empty() {
            return Ok(items);
        }
        if !rest.starts_with('{') {
            let line = line_after(before, 1);
            return Err(format!(
                "line {line}: not a JSON object; write a JSON array, or one JSON object a line"
            ));
        }
        let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(item)) if is_empty(item) => {
                let line = line_after(before, 1);
                return Err(format!("line {line}: an empty object is no key"));
            }
            Some(Ok(item)) => items.push(item),
            Some(Err(error)) => {
                let line = line_after(before, error.line());
                return Err(format!("line {line}: not JSON: {}", cause(&error)));
            }
            None => return Ok(items),
        }
        rest = rest.get(values.byte_offset()..).unwrap_or_default();
    }
}

/// Whether an object has no member.
fn is_empty(object: &RawValue) -> bool {
    let inner = object.get().trim_start_matches('{').trim_start();
    inner == "}"
}

/// What may stand between two objects: white space, and the mark of a file that was appended.
fn is_between(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n' | BYTE_ORDER_MARK)
}

/// The number of the line that is line `line` after `before`, both from 1.
fn line_after(before: &str, line: usize) -> usize {
    before.matches('\n').count() + line
}

/// The message of the parser without the place, which it counts from another beginning.
fn cause(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<String>, String> {
        let owned = |item: &RawValue| item.get().to_owned();
        Ok(parse(text)?.into_iter().map(owned).collect())
    }

    #[test]
    fn arrays_and_lines_hold_the_same() {
        let wanted = vec![r#"{"n":1.50}"#.to_owned(), r#"{"m":"}{"}"#.to_owned()];
        for text in [
            r#"[{"n":1.50},{"m":"}{"}]"#,
            "\u{feff}[{\"n\":1.50},{\"m\":\"}{\"}]\n",
            " \r\n [ {\"n\":1.50} , {\"m\":\"}{\"} ] ",
            "{\"n\":1.50}\n{\"m\":\"}{\"}",
            "{\"n\":1.50}\r\n\r\n{\"m\":\"}{\"}\r\n",
            "\u{feff}{\"n\":1.50}\n{\"m\":\"}{\"}\n",
            "\u{feff}{\"n\":1.50}\n\u{feff}{\"m\":\"}{\"}\n",
            "{\"n\":1.50} {\"m\":\"}{\"}",
        ] {
            assert_eq!(items(text).expect("items"), wanted, "{text:?}");
        }
        let one = items("{\n \"n\": 1\n}\n").expect("an item");
        assert_eq!(one, ["{\n \"n\": 1\n}"]);
    }

    #[test]
    fn other_inputs_say_where_they_are_wrong() {
        for (text, wanted) in [
            ("", "no key"),
            ("\u{feff}\n", "no key"),
            ("[]", "empty"),
            ("\u{feff}\n[{},\n}", "line 3"),
            ("[{}] []", "line 1: trailing"),
            ("{\"a\":1}\n\n{\"a\":}\n", "line 3: not JSON"),
            ("{\"a\":1}\n{ }\n", "line 2: an empty object"),
            ("{\"a\":{}}\n{\"a\":1", "line 2: not JSON"),
            ("{\"a\":{}}\n[{}]", "line 2: not a JSON object"),
            ("{\"a\":1},\n{}", "line 1: not a JSON object"),
            ("raw_key,name\n", "line 1: not a JSON object"),
            ("\"text\"", "line 1: not a JSON object"),
        ] {
            let error = items(text).expect_err("no items");
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }

    #[test]
    fn other_encodings_are_named() {
        assert_eq!(*text(b"{}".to_vec()).expect("UTF-8"), "{}");
        for (bytes, wanted) in [
            (&b"\xff\xfe[\0]\0"[..], "UTF-16"),
            (b"\xfe\xff\0[\0]", "UTF-16"),
            (b"[\"\xe9\"]", "from byte 2"),
        ] {
            let error = text(bytes.to_vec()).expect_err("not UTF-8");
            assert!(error.contains(wanted) && error.contains("UTF-8"), "{error}");
        }
    }
}
