//! The fields of one object, read by name and type.

use std::borrow::Cow;

use super::object::{FREE, Kind, Object};
use super::render;
use super::value::Json;
use crate::error::ApiError;

/// The fields of one object, to be taken out one by one.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    /// What precedes a field's name in messages: empty at the top, else a path that ends with a dot.
    path: String,
    /// What may be taken out.
    object: &'static Object,
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'a> Fields<'a> {
    /// The fields of the top object.
    pub(super) fn top(entries: Vec<(Cow<'a, str>, Json<'a>)>, object: &'static Object) -> Self {
        Self {
            path: String::new(),
            object,
            entries,
        }
    }

    /// The path of one field.
    pub(crate) fn name_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A message about one field.
    pub(crate) fn invalid(&self, name: &str, message: &str) -> ApiError {
        ApiError::invalid_field(&self.name_of(name), message)
    }

    fn wrong_type(&self, name: &str, wanted: &str, found: &Json<'_>) -> ApiError {
        self.invalid(name, &format!("must be {wanted}, not {}", found.kind()))
    }

    fn value(&self, name: &str) -> Option<&Json<'a>> {
        let entry = self.entries.iter().find(|(entry, _)| entry == name);
        entry
            .map(|(_, value)| value)
            .filter(|value| **value != Json::Null)
    }

    /// Whether the field is there and not `null`.
    pub(crate) fn is_present(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether the field is there with another value than that of an absent one: proto3 tells an empty object from an
    /// absent one, but not an empty text or list.
    pub(crate) fn has_value(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| match value {
            Json::Text(text) => !text.is_empty(),
            Json::Array(items) => !items.is_empty(),
            _ => true,
        })
    }

    /// Takes a field out. One that the table does not declare, or not as what is asked for, is never there: what a reader
    /// sees is what the document says.
    fn take(&mut self, name: &str, is_asked_for: fn(Kind) -> bool) -> Option<Json<'a>> {
        self.object.kind(name).filter(|kind| is_asked_for(*kind))?;
        let index = self.entries.iter().position(|(entry, _)| entry == name)?;
        Some(self.entries.swap_remove(index).1).filter(|value| *value != Json::Null)
    }

    /// A string, or `None` when it is absent or `null`.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, ApiError> {
        let value = self.take(name, |kind| matches!(kind, Kind::Text(_)));
        self.as_text(name, value)
    }

    fn as_text(
        &self,
        name: &str,
        value: Option<Json<'a>>,
    ) -> Result<Option<Cow<'a, str>>, ApiError> {
        match value {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", &other)),
        }
    }

    /// A list of strings; absent and `null` are the empty list.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<Cow<'a, str>>, ApiError> {
        let items = match self.take(name, |kind| matches!(kind, Kind::Texts { .. })) {
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
        let object = match self.object.kind(name) {
            Some(Kind::Object(object)) => object,
            _ => &FREE,
        };
        let is_object = |kind| matches!(kind, Kind::Object(_) | Kind::FreeObject);
        match self.take(name, is_object) {
            None => Ok(None),
            Some(Json::Object(entries)) => Ok(Some(Fields {
                path: format!("{}{name}.", self.path),
                object,
                entries,
            })),
            Some(other) => Err(self.wrong_type(name, "an object", &other)),
        }
    }

    /// A list of objects; absent and `null` are the empty list.
    pub(crate) fn objects(&mut self, name: &str) -> Result<Vec<Fields<'a>>, ApiError> {
        let Some(Kind::Objects { of, .. }) = self.object.kind(name) else {
            return Ok(Vec::new());
        };
        let items = match self.take(name, |kind| matches!(kind, Kind::Objects { .. })) {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(self.wrong_type(name, "an array of objects", &other)),
        };
        let object = |(index, item)| match item {
            Json::Object(entries) => Ok(Fields {
                path: format!("{}{name}[{index}].", self.path),
                object: of,
                entries,
            }),
            other => Err(self.wrong_type(&format!("{name}[{index}]"), "an object", &other)),
        };
        items.into_iter().enumerate().map(object).collect()
    }

    /// A 64-bit integer, written as a number or as a string of decimal digits; `None` when it is absent or `null`.
    pub(crate) fn int64(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(name, |kind| matches!(kind, Kind::Int64)) else {
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

    /// `true` or `false`; `None` when it is absent or `null`.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name, |kind| matches!(kind, Kind::Boolean)) {
            None => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(value)),
            Some(other) => Err(self.wrong_type(name, "true or false", &other)),
        }
    }

    /// The value of an enum by its full name; `None` when it is absent or `null`.
    pub(crate) fn enumeration<T: Copy>(
        &mut self,
        name: &str,
        names: &[(&str, T)],
    ) -> Result<Option<T>, ApiError> {
        let value = self.take(name, |kind| matches!(kind, Kind::Enumeration(_)));
        let Some(text) = self.as_text(name, value)? else {
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

    /// All members of an object whose fields are the caller's own, each of them a string.
    pub(crate) fn into_texts(self) -> Result<Vec<(String, String)>, ApiError> {
        let text = |(name, value): &(Cow<'a, str>, Json<'a>)| match value {
            Json::Text(text) => Ok((name.to_string(), text.to_string())),
            other => Err(self.wrong_type(name, "a string", other)),
        };
        self.entries.iter().map(text).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Field, parse};
    use schemars::SchemaGenerator;

    const fn object(fields: &'static [Field]) -> Object {
        Object {
            name: "",
            about: "",
            fields,
        }
    }

    const TEXTS: Kind = Kind::Texts {
        entries_max: 1,
        chars_max: None,
    };
    const OBJECTS: Kind = Kind::Objects {
        of: &FREE,
        entries_max: 1,
    };
    const ENUMERATION: Kind = Kind::Enumeration(SchemaGenerator::subschema_for::<String>);

    /// One field `f` of each kind.
    static KINDS: [Object; 8] = [
        object(&[Field::new("f", Kind::Text(None), "")]),
        object(&[Field::new("f", TEXTS, "")]),
        object(&[Field::new("f", Kind::Object(&FREE), "")]),
        object(&[Field::new("f", OBJECTS, "")]),
        object(&[Field::new("f", Kind::Int64, "")]),
        object(&[Field::new("f", ENUMERATION, "")]),
        object(&[Field::new("f", Kind::Boolean, "")]),
        object(&[Field::new("f", Kind::FreeObject, "")]),
    ];

    static OTHER: Object = object(&[Field::new("g", Kind::Text(None), "")]);

    /// What each reader says of `f` as the object declares it.
    fn read_as_every_kind(body: &str, object: &'static Object) -> [Result<bool, ApiError>; 7] {
        let fields = parse(body.as_bytes(), object).expect("fields");
        [
            fields.clone().text("f").map(|read| read.is_some()),
            fields.clone().texts("f").map(|read| !read.is_empty()),
            fields.clone().object("f").map(|read| read.is_some()),
            fields.clone().objects("f").map(|read| !read.is_empty()),
            fields.clone().int64("f").map(|read| read.is_some()),
            fields
                .clone()
                .enumeration("f", &[("A", 1)])
                .map(|read| read.is_some()),
            fields.clone().boolean("f").map(|read| read.is_some()),
        ]
    }

    #[test]
    fn a_field_is_read_only_as_what_its_table_declares() {
        let values = [
            r#""A""#,
            r#"["A"]"#,
            "{}",
            "[{}]",
            "7",
            r#""A""#,
            "true",
            r#"{"A":1}"#,
        ];
        for (declared, (object, value)) in KINDS.iter().zip(values).enumerate() {
            let body = format!("{{\"f\":{value}}}");
            for (reader, read) in read_as_every_kind(&body, object).into_iter().enumerate() {
                // The last kind is an object, too.
                let is_declared = reader == declared || (declared == 7 && reader == 2);
                assert_eq!(read, Ok(is_declared), "{value} by reader {reader}");
            }
        }
        for read in read_as_every_kind(r#"{"f":"A"}"#, &OTHER) {
            assert_eq!(read, Ok(false));
        }
    }

    fn message(result: Result<impl std::fmt::Debug, ApiError>) -> String {
        let error = result.expect_err("an error");
        assert_eq!(error.status(), 400);
        error.to_string()
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
            let results: Vec<_> = (0..7)
                .map(|kind| read_as_every_kind(&body, &KINDS[kind])[kind].clone())
                .collect();
            let good = results.iter().filter(|result| result.is_ok()).count();
            // The empty list is a list of anything.
            assert!(good <= 1 || value == "[]", "{value}");
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
        for object in &KINDS {
            for read in read_as_every_kind(r#"{"f":null}"#, object) {
                assert_eq!(read, Ok(false));
            }
        }
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
                parse(body.as_bytes(), &KINDS[4])
                    .expect("fields")
                    .int64("f"),
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
            message(
                parse(body.as_bytes(), &KINDS[4])
                    .expect("fields")
                    .int64("f"),
            );
        }
    }

    #[test]
    fn enums_are_full_names() {
        let names = [("COLOR_RED", 1), ("COLOR_BLUE", 2)];
        let read = |body: &str| {
            parse(body.as_bytes(), &KINDS[5]).and_then(|mut fields| fields.enumeration("f", &names))
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
}
