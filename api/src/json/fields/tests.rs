//! Which fields each reader sees, and which values it accepts.

use super::*;
use crate::json::parse;
use crate::names::{Named, enumeration};
use schemars::SchemaGenerator;

/// The field that every test reads.
const F: Field = Field::new("f", Kind::Text(None), "");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Blue,
}

enumeration! {
    /// Two colours.
    Color(Colour) {
        Red => "COLOR_RED",
        Blue => "COLOR_BLUE",
    }
}

const fn object(fields: &'static [Field]) -> Object {
    Object {
        name: "",
        about: "",
        fields,
        rules: &[],
    }
}

const TEXTS: Kind = Kind::Texts {
    entries_max: 1,
    chars_max: None,
};
const OBJECTS: Kind = Kind::Objects {
    of: &FREE,
    entries_max: 1,
    needs_one: false,
};
const ENUMERATION: Kind = Kind::Enumeration(SchemaGenerator::subschema_for::<Named<Color>>);

/// Objects with one field `f`, one object for each kind.
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

/// Whether each reader finds `f` in an object.
fn read_as_every_kind(body: &str, object: &'static Object) -> [Result<bool, ApiError>; 7] {
    let fields = parse(body.as_bytes(), object).expect("fields");
    [
        fields.clone().text(F).map(|read| read.is_some()),
        fields.clone().texts(F).map(|read| !read.is_empty()),
        fields.clone().object(F).map(|read| read.is_some()),
        fields.clone().objects(F).and_then(|read| {
            let read: Result<Vec<_>, _> = read.into_iter().collect();
            read.map(|read| !read.is_empty())
        }),
        fields.clone().int64(F).map(|read| read.is_some()),
        fields
            .clone()
            .enumeration::<Color>(F)
            .map(|read| read.is_some()),
        fields.clone().boolean(F).map(|read| read.is_some()),
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
        r#""COLOR_RED""#,
        "true",
        r#"{"A":1}"#,
    ];
    for (declared, (object, value)) in KINDS.iter().zip(values).enumerate() {
        let body = format!("{{\"f\":{value}}}");
        for (reader, read) in read_as_every_kind(&body, object).into_iter().enumerate() {
            // The last kind is read as an object, too.
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
        // The empty list fits both kinds of lists.
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
        ("\"1e2\"", 100),
        ("\"100.0\"", 100),
        ("9223372036854775807", i64::MAX),
        ("\"-9223372036854775808\"", i64::MIN),
    ];
    for (value, wanted) in good {
        let body = format!("{{\"f\":{value}}}");
        assert_eq!(
            parse(body.as_bytes(), &KINDS[4]).expect("fields").int64(F),
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
        "\"1e-2\"",
        "\"1.5\"",
        "\"0x1\"",
        "\"9223372036854775808\"",
        "\"--1\"",
        "\"١\"",
    ];
    for value in bad {
        let body = format!("{{\"f\":{value}}}");
        message(parse(body.as_bytes(), &KINDS[4]).expect("fields").int64(F));
    }
}

#[test]
fn enums_are_full_names_or_numbers() {
    let read = |body: &str| {
        parse(body.as_bytes(), &KINDS[5]).and_then(|mut fields| fields.enumeration::<Color>(F))
    };
    assert_eq!(read(r#"{"f":"COLOR_BLUE"}"#), Ok(Some(Colour::Blue)));
    for (number, colour) in [
        ("0", Colour::Red),
        ("1", Colour::Blue),
        ("1e0", Colour::Blue),
    ] {
        assert_eq!(read(&format!(r#"{{"f":{number}}}"#)), Ok(Some(colour)));
    }
    for unknown in [
        "2",
        "-1",
        "0.5",
        "9223372036854775807",
        "-9223372036854775808",
        "1e300",
    ] {
        assert!(read(&format!(r#"{{"f":{unknown}}}"#)).is_err(), "{unknown}");
    }
    for value in ["\"BLUE\"", "\"color_blue\"", "2", "\"2\"", "\"\""] {
        let text = message(read(&format!("{{\"f\":{value}}}")));
        assert!(text.starts_with("f: must be"), "{text}");
    }
    assert_eq!(
        message(read(r#"{"f":"X"}"#)),
        "f: must be one of COLOR_RED, COLOR_BLUE"
    );
}
