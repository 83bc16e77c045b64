//! The configuration file as a tree of texts, each with its line and column.
//!
//! YAML guesses the type of a plain scalar from its spelling. Here the table of keys decides the
//! type, so a scalar stays as it is written: a prefix `007` stays `007`, and a secret of digits
//! stays a text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Location, Spanned};

/// A node and the place where it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    /// Line and column, both counted from 1.
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A node of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Nothing, `null` or `~`.
    Null,
    /// Any other scalar, as it is written (without quotes).
    Scalar(String),
    /// A sequence.
    List(Vec<Located<Node>>),
    /// A mapping, in the order of the file. No key occurs twice.
    Mapping(Vec<(Located<String>, Located<Node>)>),
}

/// Parses one YAML document. An empty text is [`Node::Null`].
///
/// # Errors
/// What is wrong and where, on one line. The message quotes nothing of the file, which may contain
/// secrets.
pub(crate) fn parse(text: &str) -> Result<Located<Node>, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    let node: Spanned<Typed> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            error
                .to_string()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        })?;
    untype(node, text).ok_or_else(|| "a scalar is outside the file".to_owned())
}

/// A node as the YAML library types it.
enum Typed {
    Null,
    /// A plain scalar that looks like a boolean or a number. Its text is taken from the file.
    Plain,
    Text(String),
    List(Vec<Spanned<Typed>>),
    Mapping(Vec<(Spanned<String>, Spanned<Typed>)>),
}

fn untype(node: Spanned<Typed>, source: &str) -> Option<Located<Node>> {
    let value = match node.value {
        Typed::Null => Node::Null,
        Typed::Plain => Node::Scalar(slice(node.defined, source)?.to_owned()),
        Typed::Text(text) => Node::Scalar(text),
        Typed::List(items) => Node::List(
            items
                .into_iter()
                .map(|item| untype(item, source))
                .collect::<Option<Vec<_>>>()?,
        ),
        Typed::Mapping(entries) => Node::Mapping(
            entries
                .into_iter()
                .map(|(key, value)| {
                    Some((located(key.value, key.referenced), untype(value, source)?))
                })
                .collect::<Option<Vec<_>>>()?,
        ),
    };
    Some(located(value, node.referenced))
}

fn located<T>(value: T, location: Location) -> Located<T> {
    Located {
        value,
        line: location.line(),
        column: location.column(),
    }
}

fn slice(location: Location, source: &str) -> Option<&str> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    source
        .get(start..start.checked_add(length)?)
        .map(str::trim_end)
}

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TypedVisitor)
    }
}

struct TypedVisitor;

impl<'de> Visitor<'de> for TypedVisitor {
    type Value = Typed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_unit<E>(self) -> Result<Typed, E> {
        Ok(Typed::Null)
    }

    fn visit_none<E>(self) -> Result<Typed, E> {
        Ok(Typed::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Typed, E> {
        Ok(Typed::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Typed, E> {
        Ok(Typed::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Typed, E> {
        Ok(Typed::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Typed, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Typed::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Typed, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = mapping.next_entry()? {
            entries.push(entry);
        }
        Ok(Typed::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Vec<(Located<String>, Located<Node>)> {
        match parse(text).expect("YAML").value {
            Node::Mapping(entries) => entries,
            other => panic!("not a mapping: {other:?}"),
        }
    }

    #[test]
    fn scalars_keep_their_spelling() {
        for written in [
            "007",
            "0x10",
            "1e3",
            "1_000",
            "true",
            "True",
            "yes",
            "1.50",
            "-0",
            ".inf",
            ".nan",
            "5m",
            "a b",
            "123456789012345678901234567890123456789012345678901234567890",
            "12:30:45",
            "2026-01-01",
        ] {
            for text in [
                format!("k: {written}\n"),
                format!("k: {written} # why\n"),
                format!("{{k: {written}}}"),
            ] {
                let entries = mapping(&text);
                assert_eq!(
                    entries.first().map(|(_, node)| &node.value),
                    Some(&Node::Scalar(written.to_owned())),
                    "{text}"
                );
            }
            let quoted = mapping(&format!("k: '{written}'\n"));
            assert_eq!(
                quoted.first().map(|(_, node)| &node.value),
                Some(&Node::Scalar(written.to_owned()))
            );
        }
    }

    #[test]
    fn nothing_is_null() {
        for text in ["k:\n", "k: ~\n", "k: null\n"] {
            assert_eq!(
                mapping(text).first().map(|(_, node)| &node.value),
                Some(&Node::Null),
                "{text}"
            );
        }
        for text in ["", "# only a comment\n", "---\n"] {
            assert_eq!(
                parse(text).map(|node| node.value),
                Ok(Node::Null),
                "{text:?}"
            );
        }
    }

    #[test]
    fn places_count_from_one() {
        let entries = mapping("é: 1\nlog:\n  level: info\n");
        let (key, value) = entries.get(1).expect("two entries");
        assert_eq!((key.line, key.column), (2, 1));
        let Node::Mapping(inner) = &value.value else {
            panic!("a mapping")
        };
        let (key, value) = inner.first().expect("one entry");
        assert_eq!(
            (key.line, key.column, value.line, value.column),
            (3, 3, 3, 10)
        );
    }

    #[test]
    fn aliases_stand_where_they_are_used() {
        let entries = mapping("a: &x 0123\nb: *x\n");
        let (_, value) = entries.get(1).expect("two entries");
        assert_eq!(
            (&value.value, value.line),
            (&Node::Scalar("0123".to_owned()), 2)
        );
    }

    #[test]
    fn errors_are_one_line_and_quote_nothing() {
        for text in [
            "a: [1, hunter2\n",
            "a: 1\na: hunter2\n",
            "a:\n\t- hunter2\n",
            "a: 'hunter2\n",
            "x: {hunter2: 1}: 3\n",
            "--- 1\n--- 2\n",
        ] {
            let error = parse(text).expect_err("not one YAML document");
            assert!(
                !error.contains('\n') && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
