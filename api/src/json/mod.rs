//! Bodies: strict reading of requests after the JSON rules of proto3, and writing of answers.
//!
//! A body is UTF-8, one JSON object, at most [`limits::JSON_DEPTH`] deep, with no name twice in one object. A body of
//! nothing but white space is the empty object. Names that the table of the object does not declare are skipped. `null` is
//! an absent field. Texts without escapes are borrowed from the body.
mod fields;
mod object;
mod value;

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::limits;

pub(crate) use fields::Fields;
pub(crate) use object::{Field, Kind, Object};
use value::KnownFields;

/// Writes `value` without insignificant white space.
pub(crate) fn render<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for maps whose keys are not texts, which no answer has; an empty object would say
    // nothing, and so is never taken for a valid credential.
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// Reads a body. Only the fields of `object` are kept.
///
/// # Errors
/// 400 when it breaks one of the rules above.
pub(crate) fn parse<'a>(body: &'a [u8], object: &'static Object) -> Result<Fields<'a>, ApiError> {
    let Some(text) = object_text(body)? else {
        return Ok(Fields::top(Vec::new(), object));
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = KnownFields(object)
        .deserialize(&mut deserializer)
        .and_then(|entries| deserializer.end().map(|()| entries))
        .map_err(|error| invalid(&error))?;
    Ok(Fields::top(entries, object))
}

/// The same of a body that must hold nothing else: a field that `object` does not declare is refused.
///
/// # Errors
/// 400, as [`parse`]; also naming the known fields when there is another one.
pub(crate) fn parse_whole<'a>(
    body: &'a [u8],
    object: &'static Object,
) -> Result<Fields<'a>, ApiError> {
    let fields = parse(body, object)?;
    let Some(text) = object_text(body)? else {
        return Ok(fields);
    };
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|error| invalid(&error))?;
    if members.keys().any(|name| object.kind(name).is_none()) {
        let known: Vec<_> = object.fields.iter().map(|field| field.name).collect();
        let message = format!(
            "the body has a field that is not known here; there are {}",
            known.join(", ")
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(fields)
}

/// What the reader says of a body that it does not understand.
pub(crate) fn invalid(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request(format!("the body is not valid JSON: {error}"))
}

/// The text of a body that may be an object and is not nested too deep; `None` for one of nothing but white space.
///
/// # Errors
/// 400 when it is no text, no object, or nested too deep.
pub(crate) fn object_text(body: &[u8]) -> Result<Option<&str>, ApiError> {
    let text =
        std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    match text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .chars()
        .next()
    {
        None => return Ok(None),
        Some('{') => {}
        Some(_) => return Err(ApiError::bad_request("the body must be a JSON object")),
    }
    if depth_exceeds(text, limits::JSON_DEPTH) {
        let message = format!(
            "the body is nested deeper than {} levels",
            limits::JSON_DEPTH
        );
        return Err(ApiError::bad_request(message));
    }
    Ok(Some(text))
}

/// Whether more than `limit` objects and arrays of `text` are open at some place. Brackets within strings do not count.
fn depth_exceeds(text: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    static OBJECT: Object = Object {
        name: "",
        about: "",
        fields: &[
            Field::new("name", Kind::Text(None), ""),
            Field::new(
                "list",
                Kind::Texts {
                    entries_max: 9,
                    chars_max: None,
                },
                "",
            ),
        ],
    };

    fn message(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        let error = result.expect_err("an error");
        assert_eq!(error.status(), 400);
        error.to_string()
    }

    #[test]
    fn good_bodies() {
        for body in [
            "",
            " \r\n\t",
            "{}",
            " { } ",
            r#"{"x":[{}]}"#,
            r#"{"x":1,"x":2}"#,
        ] {
            assert!(parse(body.as_bytes(), &OBJECT).is_ok(), "{body}");
        }
        let mut fields = parse(
            br#"{"name":"a","other":{"name":1},"list":["b","\u0041"]}"#,
            &OBJECT,
        )
        .expect("fields");
        assert_eq!(fields.text("other"), Ok(None));
        assert!(matches!(fields.text("name"), Ok(Some(Cow::Borrowed("a")))));
        assert_eq!(fields.text("name"), Ok(None));
        assert_eq!(
            fields.texts("list"),
            Ok(vec![Cow::Borrowed("b"), Cow::Borrowed("A")])
        );
    }

    #[test]
    fn bad_bodies() {
        let bodies: &[&[u8]] = &[
            b"{",
            b"}",
            b"null",
            b"[]",
            b"\"name\"",
            b"1",
            b"{}{}",
            b"{} x",
            b"{}\0",
            b"{\"name\":}",
            b"{\"name\":1,}",
            b"{\"name\" 1}",
            b"{name:1}",
            b"{'name':1}",
            b"{1:1}",
            b"{\"name\":01}",
            b"{\"name\":+1}",
            b"{\"name\":.5}",
            b"{\"name\":1e999}",
            b"{\"name\":NaN}",
            b"{\"name\":\"a\nb\"}",
            b"{\"name\":\"\\x\"}",
            b"{\"name\":\"\\ud800\"}",
            b"{\"name\":\"\\udc00\\ud800\"}",
            b"{\"name\":\"\xff\"}",
            b"{\"name\":\"\xc0\xaf\"}",
            b"\xef\xbb\xbf{}",
            b"{\"name\":\"a\",\"name\":\"b\"}",
            b"{\"name\":\"a\",\"n\\u0061me\":\"b\"}",
            b"{\"name\":{\"a\":1,\"b\":2,\"a\":3}}",
            b"{\"other\":}",
            b"// x\n{}",
            b"\x0b{}",
        ];
        for body in bodies {
            message(parse(body, &OBJECT).map(drop));
        }
    }

    #[test]
    fn depth_counts_objects_and_arrays_but_not_brackets_in_strings() {
        let nested = |name: &str, levels: usize| {
            format!(
                "{{\"{name}\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        for name in ["list", "x"] {
            assert!(parse(nested(name, limits::JSON_DEPTH).as_bytes(), &OBJECT).is_ok());
            let deep =
                message(parse(nested(name, limits::JSON_DEPTH + 1).as_bytes(), &OBJECT).map(drop));
            assert!(deep.contains("32 levels"), "{deep}");
        }
        let brackets = format!(r#"{{"name":"\"{}"}}"#, "[{".repeat(100));
        assert!(parse(brackets.as_bytes(), &OBJECT).is_ok());
        let wide = format!("{{\"list\":[{}[]]}}", "[],".repeat(100));
        assert!(parse(wide.as_bytes(), &OBJECT).is_ok());
        let hostile = "[{".repeat(500_000);
        message(parse(format!("{{\"list\":{hostile}").as_bytes(), &OBJECT).map(drop));
    }
}
