//! A strict reader for the JSON objects of tokens.
//!
//! An attacker can exploit two readers that find different values in one text. A name may therefore
//! occur only once in an object, at every level (RFC 7515 §4, RFC 7519 §4), and nothing may follow
//! the object.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use talos_model::limits::TOKEN_JSON_DEPTH;

/// Parses `text`: one JSON object in UTF-8 with unique names, at most [`TOKEN_JSON_DEPTH`] levels
/// deep, with nothing but white space around it. `None` for every other text.
pub(super) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let depth_left = TOKEN_JSON_DEPTH;
    let value = Strict { depth_left }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// Reads one value with at most this many levels.
#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1);
        let depth_left = depth_left.ok_or_else(|| E::custom("nested too deep"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not finite"))?;
        Ok(number.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate name"));
            }
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::token::json::*;

    #[test]
    fn values_come_through() {
        let value = json!({"a": [1, -2, 1.5, "x", null, true, {"b": {}}], "c": u64::MAX});
        let read = object(format!(" {value} ").as_bytes()).map(Value::Object);
        assert_eq!(read, Some(value));
    }

    #[test]
    fn duplicates_trailers_and_depth() {
        let nested = |levels: usize| {
            format!(
                r#"{{"a":{}{}}}"#,
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert!(object(nested(TOKEN_JSON_DEPTH).as_bytes()).is_some());
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{} {}",
            "{}x",
            "{}\0",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"a":1,"a":2}]}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            r"{'a':1}",
            r#"{"a":1,}"#,
            &nested(TOKEN_JSON_DEPTH + 1),
            &nested(4000),
        ] {
            assert_eq!(object(text.as_bytes()), None, "{text:.40}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
    }

    /// The JSON library recognises raw text by a private name. This reader does not.
    #[test]
    fn the_librarys_private_name_is_a_name_like_others() {
        let text = r#"{"$serde_json::private::RawValue":"{\"a\":1,\"a\":2}"}"#;
        let read = object(text.as_bytes()).unwrap();
        assert_eq!(read["$serde_json::private::RawValue"], r#"{"a":1,"a":2}"#);
    }
}
