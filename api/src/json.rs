//! Bodies: strict reading of requests after the JSON rules of proto3, and writing of answers.
//!
//! A body is UTF-8, one JSON object, at most [`limits::JSON_DEPTH`] deep, with no name twice in one object. A body of
//! nothing but white space is the empty object. Names that the caller does not ask for are skipped. `null` is an absent
//! field. Texts without escapes are borrowed from the body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

use crate::error::ApiError;
use crate::limits;

/// Writes `value` without insignificant white space.
pub(crate) fn render<T: Serialize>(value: &T) -> Vec<u8> {
    // Writing to memory fails only for maps whose keys are not texts, which no answer has; an empty object would say
    // nothing, and so is never taken for a valid credential.
    serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec())
}

/// One JSON value. Objects keep the order of their names.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// The kind of the value, for messages; the value itself may be a secret and is never repeated.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// The fields of one object, to be taken out one by one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fields<'a> {
    /// What precedes a field's name in messages: empty at the top, else a path that ends with a dot.
    path: String,
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
}

/// Reads a body. Only the fields in `known` are kept.
///
/// # Errors
/// 400 when it breaks one of the rules above.
pub(crate) fn parse<'a>(body: &'a [u8], known: &[&str]) -> Result<Fields<'a>, ApiError> {
    let text =
        std::str::from_utf8(body).map_err(|_| ApiError::bad_request("the body is not UTF-8"))?;
    let path = String::new();
    match text
        .trim_start_matches([' ', '\t', '\n', '\r'])
        .chars()
        .next()
    {
        None => {
            return Ok(Fields {
                path,
                entries: Vec::new(),
            });
        }
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
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let entries = Known(known)
        .deserialize(&mut deserializer)
        .and_then(|entries| deserializer.end().map(|()| entries))
        .map_err(|error| ApiError::bad_request(format!("the body is not valid JSON: {error}")))?;
    Ok(Fields { path, entries })
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

impl<'a> Fields<'a> {
    /// A message about one field.
    pub(crate) fn invalid(&self, name: &str, message: &str) -> ApiError {
        ApiError::invalid_field(&format!("{}{name}", self.path), message)
    }

    fn wrong_type(&self, name: &str, wanted: &str, found: &Json<'_>) -> ApiError {
        self.invalid(name, &format!("must be {wanted}, not {}", found.kind()))
    }

    fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self.entries.iter().position(|(entry, _)| entry == name)?;
        Some(self.entries.swap_remove(index).1).filter(|value| *value != Json::Null)
    }

    /// A string, or `None` when it is absent or `null`.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    /// A list of strings; absent and `null` are the empty list.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<Cow<'a, str>>, ApiError> {
        let items = match self.take(name) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(self.wrong_type(name, "an array of strings", &other)),
        };
        let text = |(index, item)| match item {
            Json::Text(text) => Ok(text),
            other => Err(self.wrong_type(&format!("{name}[{index}]"), "a string", &other)),
        };
        items.into_iter().enumerate().map(text).collect()
    }

    /// An object, or `None` when it is absent or `null`.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Fields<'a>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Object(entries)) => Ok(Some(Fields {
                path: format!("{}{name}.", self.path),
                entries,
            })),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A 64-bit integer, written as a number or as a string of decimal digits; `None` when it is absent or `null`.
    pub(crate) fn int64(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let integer = match &value {
            Json::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Json::Text(text) => decimal(text),
            _ => return Err(self.wrong_type(name, "an integer, as a number or a string", &value)),
        };
        let message = "must be a 64-bit integer, as a number or a string of decimal digits";
        integer.map(Some).ok_or_else(|| self.invalid(name, message))
    }

    /// The value of an enum by its full name; `None` when it is absent or `null`.
    pub(crate) fn enumeration<T: Copy>(
        &mut self,
        name: &str,
        names: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let value = names
            .iter()
            .find(|(full_name, _)| *full_name == text)
            .map(|&(_, value)| value);
        value.map(Some).ok_or_else(|| {
            let allowed: Vec<_> = names.iter().map(|(full_name, _)| *full_name).collect();
            self.invalid(name, &format!("must be one of {}", allowed.join(", ")))
        })
    }

    /// The object as compact JSON; empty when it has no field.
    pub(crate) fn into_json(self) -> String {
        if self.entries.is_empty() {
            return String::new();
        }
        // Every value was read from UTF-8, and JSON of it is UTF-8 again.
        String::from_utf8(render(&Json::Object(self.entries))).unwrap_or_default()
    }
}

/// The integer that `number` is, when it is one and small enough for every integer around it to be one too: `1e2` and
/// `100.0` are how some clients write 100.
fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, hence exact"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// Decimal digits after an optional minus: `i64::from_str` would also take a plus.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Reads the top object: known names with their values, others skipped.
struct Known<'k>(&'k [&'k str]);

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = Vec<(Cow<'de, str>, Json<'de>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Known<'_> {
    type Value = Vec<(Cow<'de, str>, Json<'de>)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(self.0.len());
        while let Some(Name(name)) = map.next_key()? {
            if self.0.contains(&&*name) {
                entries.push((name, map.next_value()?));
                refuse_last_if_repeated(&entries)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(entries)
    }
}

/// For the few known names only: the whole list is compared.
fn refuse_last_if_repeated<E: serde::de::Error>(
    entries: &[(Cow<'_, str>, Json<'_>)],
) -> Result<(), E> {
    match entries.split_last() {
        Some(((last, _), before)) if before.iter().any(|(name, _)| name == last) => Err(repeated()),
        _ => Ok(()),
    }
}

fn repeated<E: serde::de::Error>() -> E {
    E::custom("a name occurs twice in one object")
}

/// A name, borrowed when it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Text(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("a name is not a string")),
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Number::from_f64(value)
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        let mut names: Vec<&str> = entries
            .iter()
            .map(|(name, _): &(Cow<'_, str>, _)| &**name)
            .collect();
        names.sort_unstable();
        if names
            .windows(2)
            .any(|pair| matches!(pair, [one, next] if one == next))
        {
            return Err(repeated());
        }
        Ok(Json::Object(entries))
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => {
                let mut sequence = serializer.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| sequence.serialize_element(item))?;
                sequence.end()
            }
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                entries
                    .iter()
                    .try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<impl fmt::Debug, ApiError>) -> String {
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
            assert!(parse(body.as_bytes(), &["name"]).is_ok(), "{body}");
        }
        let mut fields = parse(
            br#"{"name":"a","other":{"name":1},"list":["b","\u0041"]}"#,
            &["name", "list"],
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
            message(parse(body, &["name"]).map(drop));
        }
    }

    #[test]
    fn depth_counts_objects_and_arrays_but_not_brackets_in_strings() {
        let nested = |levels: usize| {
            format!(
                "{{\"x\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        for known in ["x", "y"] {
            assert!(parse(nested(limits::JSON_DEPTH).as_bytes(), &[known]).is_ok());
            let deep =
                message(parse(nested(limits::JSON_DEPTH + 1).as_bytes(), &[known]).map(drop));
            assert!(deep.contains("32 levels"), "{deep}");
        }
        let brackets = format!(r#"{{"x":"\"{}"}}"#, "[{".repeat(100));
        assert!(parse(brackets.as_bytes(), &["x"]).is_ok());
        let wide = format!("{{\"x\":[{}[]]}}", "[],".repeat(100));
        assert!(parse(wide.as_bytes(), &["x"]).is_ok());
        let hostile = "[{".repeat(500_000);
        message(parse(format!("{{\"x\":{hostile}").as_bytes(), &["x"]).map(drop));
    }

    #[test]
    fn wrong_types_name_the_field_and_never_the_value() {
        let values = [
            "true",
            "7",
            "7.5",
            "\"hush\"",
            "[\"hush\"]",
            "[7]",
            "{\"hush\":1}",
            "[null]",
            "[[]]",
            "-1",
            "{}",
            "[]",
        ];
        for value in values {
            let body = format!("{{\"f\":{value}}}");
            let fields = parse(body.as_bytes(), &["f"]).expect("fields");
            let results = [
                fields.clone().text("f").map(drop),
                fields.clone().texts("f").map(drop),
                fields.clone().object("f").map(drop),
                fields.clone().int64("f").map(drop),
                fields.clone().enumeration("f", &[("A", 1)]).map(drop),
            ];
            let good = results.iter().filter(|result| result.is_ok()).count();
            assert!(good <= 1, "{value}");
            for error in results.into_iter().filter_map(Result::err) {
                let text = error.to_string();
                assert!(
                    text.starts_with("f: ") || text.starts_with("f[0]: "),
                    "{text}"
                );
                assert!(!text.contains("hush"), "{text}");
            }
        }
    }

    #[test]
    fn null_is_absent() {
        let fields = parse(br#"{"f":null}"#, &["f"]).expect("fields");
        assert_eq!(fields.clone().text("f"), Ok(None));
        assert_eq!(fields.clone().texts("f"), Ok(Vec::new()));
        assert_eq!(fields.clone().object("f"), Ok(None));
        assert_eq!(fields.clone().int64("f"), Ok(None));
        assert_eq!(fields.clone().enumeration("f", &[("A", 1)]), Ok(None));
    }

    #[test]
    fn integers_come_as_numbers_or_strings() {
        let good = [
            ("0", 0),
            ("-5", -5),
            ("\"100\"", 100),
            ("\"-5\"", -5),
            ("100.0", 100),
            ("1e2", 100),
            ("9223372036854775807", i64::MAX),
            ("\"-9223372036854775808\"", i64::MIN),
        ];
        for (value, wanted) in good {
            let body = format!("{{\"f\":{value}}}");
            assert_eq!(
                parse(body.as_bytes(), &["f"]).expect("fields").int64("f"),
                Ok(Some(wanted)),
                "{value}"
            );
        }
        let bad = [
            "1.5",
            "9223372036854775808",
            "1e30",
            "\"\"",
            "\"-\"",
            "\"+1\"",
            "\" 1\"",
            "\"1e2\"",
            "\"0x1\"",
            "\"9223372036854775808\"",
            "\"--1\"",
            "\"١\"",
        ];
        for value in bad {
            let body = format!("{{\"f\":{value}}}");
            message(parse(body.as_bytes(), &["f"]).expect("fields").int64("f"));
        }
    }

    #[test]
    fn enums_are_full_names() {
        let names = [("COLOR_RED", 1), ("COLOR_BLUE", 2)];
        let read = |body: &str| {
            parse(body.as_bytes(), &["f"]).and_then(|mut fields| fields.enumeration("f", &names))
        };
        assert_eq!(read(r#"{"f":"COLOR_BLUE"}"#), Ok(Some(2)));
        for value in ["\"BLUE\"", "\"color_blue\"", "2", "\"2\"", "\"\""] {
            let text = message(read(&format!("{{\"f\":{value}}}")));
            assert!(text.starts_with("f: must be"), "{text}");
        }
        assert_eq!(
            message(read(r#"{"f":"X"}"#)),
            "f: must be one of COLOR_RED, COLOR_BLUE"
        );
    }

    #[test]
    fn compact_text_keeps_order_and_numbers() {
        let table = [
            ("{}", ""),
            (
                r#"{ "b" : 1 , "a" : [ 1.5 , -0.1, 1e2, null , true ] }"#,
                r#"{"b":1,"a":[1.5,-0.1,100.0,null,true]}"#,
            ),
            (
                r#"{"big":18446744073709551615,"small":-9223372036854775808}"#,
                r#"{"big":18446744073709551615,"small":-9223372036854775808}"#,
            ),
            (
                r#"{"exact":0.30000000000000004,"e":2.2250738585072014e-308}"#,
                r#"{"exact":0.30000000000000004,"e":2.2250738585072014e-308}"#,
            ),
            (
                r#"{"t":"\u00e9\u2028\ud83d\ude00\u0001\/ \" "}"#,
                "{\"t\":\"é\u{2028}😀\\u0001/ \\\" \"}",
            ),
            (r#"{"o":{"x":{}},"n":null}"#, r#"{"o":{"x":{}},"n":null}"#),
        ];
        for (value, wanted) in table {
            let body = format!("{{\"f\":{value}}}");
            let object = parse(body.as_bytes(), &["f"])
                .expect("fields")
                .object("f")
                .expect("valid")
                .expect("present");
            assert_eq!(object.into_json(), wanted);
        }
    }
}
