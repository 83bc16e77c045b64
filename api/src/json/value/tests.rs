//! Values that are read and written again.

use crate::json::{Field, Kind, Object, parse};

const F: Field = Field::new("f", Kind::FreeObject, "");

static OBJECT: Object = Object {
    name: "",
    about: "",
    fields: &[F],
    rules: &[],
};

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
        let object = parse(body.as_bytes(), &OBJECT)
            .expect("fields")
            .object(F)
            .expect("valid")
            .expect("present");
        assert_eq!(object.into_json(), wanted);
    }
}
