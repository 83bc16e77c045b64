//! `--format`: the format of a result, and which part of it is written.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use serde_json_path::JsonPath;

/// The format of a result on standard output.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Format {
    /// Aligned columns, for people.
    Table,
    /// The JSON of the server, on one line.
    Json,
    /// The JSON, indented.
    JsonPretty,
    /// The result as YAML.
    Yaml,
    /// The selected part, as JSON.
    Selected(Selector),
}

/// Selects a part of a JSON document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Selector {
    /// A query of RFC 9535 (`JSONPath`); it may select many values.
    Path(JsonPath),
    /// Member names and array indexes joined by dots, as in `results.0.key_id`.
    Dotted(String),
    /// A JSON pointer (RFC 6901).
    Pointer(String),
}

/// The accepted values, for the help of `--format`.
pub(crate) const FORMATS: &str = "table|json|json-pretty|yaml|jsonpath=…|jsonpointer=…";

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once('=')) {
            ("table", _) => Ok(Self::Table),
            ("json", _) => Ok(Self::Json),
            ("json-pretty", _) => Ok(Self::JsonPretty),
            ("yaml", _) => Ok(Self::Yaml),
            (_, Some(("jsonpath", path))) => Selector::path(path).map(Self::Selected),
            (_, Some(("jsonpointer", pointer))) => Selector::pointer(pointer).map(Self::Selected),
            _ => Err(format!("allowed: {FORMATS}")),
        }
    }
}

impl Selector {
    fn path(text: &str) -> Result<Self, String> {
        if text.starts_with('$') {
            return JsonPath::parse(text)
                .map(Self::Path)
                .map_err(|error| format!("not a JSONPath query (RFC 9535): {error}"));
        }
        if text.is_empty() || text.split('.').any(str::is_empty) {
            let message =
                "neither a JSONPath query such as $.results[*].key_id, nor names joined by dots";
            return Err(message.to_owned());
        }
        Ok(Self::Dotted(text.to_owned()))
    }

    fn pointer(text: &str) -> Result<Self, String> {
        // RFC 6901 §3: a tilde stands only before 0 or 1.
        let escaped = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        if (text.is_empty() || text.starts_with('/')) && escaped {
            Ok(Self::Pointer(text.to_owned()))
        } else {
            Err("not a JSON pointer (RFC 6901) such as /issued_api_key/key_id".to_owned())
        }
    }

    /// The selected values, in the order of the document.
    pub(crate) fn select<'a>(&self, document: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Path(path) => path.query(document).all(),
            Self::Dotted(names) => names
                .split('.')
                .try_fold(document, |value, name| match value {
                    Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                    value => value.get(name),
                })
                .into_iter()
                .collect(),
            Self::Pointer(pointer) => document.pointer(pointer).into_iter().collect(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(formatter),
            Self::Dotted(text) | Self::Pointer(text) => formatter.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(format: &str) -> Value {
        let document = json!({
            "secret": "s", "a/b": {"~": 1}, "": 2,
            "results": [{"key_id": "k0", "is_valid": true}, {"key_id": "k1", "is_valid": false}],
        });
        match format.parse() {
            Ok(Format::Selected(selector)) => json!(selector.select(&document)),
            other => panic!("{format}: {other:?}"),
        }
    }

    #[test]
    fn parts() {
        for (format, wanted) in [
            ("jsonpath=$.secret", json!(["s"])),
            ("jsonpath=$.results[*].key_id", json!(["k0", "k1"])),
            (
                "jsonpath=$.results[?@.is_valid == false].key_id",
                json!(["k1"]),
            ),
            ("jsonpath=$.nothing", json!([])),
            ("jsonpath=secret", json!(["s"])),
            ("jsonpath=results.1.key_id", json!(["k1"])),
            ("jsonpath=results.2.key_id", json!([])),
            ("jsonpath=secret.0", json!([])),
            ("jsonpointer=/results/0/key_id", json!(["k0"])),
            ("jsonpointer=/a~1b/~0", json!([1])),
            ("jsonpointer=/", json!([2])),
            ("jsonpointer=/nothing", json!([])),
        ] {
            assert_eq!(selected(format), wanted, "{format}");
        }
        assert_eq!(selected("jsonpointer=")[0]["secret"], "s");
    }

    #[test]
    fn other_formats_are_refused() {
        for format in [
            "",
            "xml",
            "JSON",
            "table=x",
            "jsonpath",
            "jsonpath=",
            "jsonpath=$[",
            "jsonpath=.a",
            "jsonpath=a..b",
            "jsonpointer",
            "jsonpointer=a",
            "jsonpointer=/~",
            "jsonpointer=/~2",
        ] {
            assert!(format.parse::<Format>().is_err(), "{format}");
        }
    }
}
