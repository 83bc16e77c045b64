//! Accepted and rejected bodies.

use std::borrow::Cow;

use super::*;
use crate::json::{Field, Kind};

const NAME: Field = Field::new("name", Kind::Text(None), "");
const LIST: Field = Field::new(
    "list",
    Kind::Texts {
        entries_max: 9,
        chars_max: None,
    },
    "",
);
/// A field that no table declares.
const OTHER: Field = Field::new("other", Kind::Text(None), "");

static OBJECT: Object = Object {
    name: "",
    about: "",
    fields: &[NAME, LIST],
    rules: &[],
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
    assert_eq!(fields.text(OTHER), Ok(None));
    assert!(matches!(fields.text(NAME), Ok(Some(Cow::Borrowed("a")))));
    assert_eq!(fields.text(NAME), Ok(None));
    assert_eq!(
        fields.texts(LIST),
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
