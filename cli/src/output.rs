//! How results are written.

use std::io::{self, Write};

use clap::ValueEnum;
use serde_json::{Map, Value};

use crate::client::Answer;

/// How a result is written to standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Two aligned columns for people.
    #[default]
    Table,
    /// The server's JSON on one line.
    Json,
}

/// What is written of an answer.
pub(crate) struct Output<'a> {
    /// The answer of the server.
    pub(crate) answer: &'a Answer,
    /// Its rows as a table.
    pub(crate) rows: Vec<Row>,
    /// The one value that a script wants, if any; all that is written when quiet.
    pub(crate) essence: Option<String>,
}

/// A line of a table: a name and its value.
pub(crate) type Row = (String, String);

/// Fields in the order in which people look for them; all others follow in alphabetical order.
const ORDER: [&str; 15] = [
    "is_valid",
    "error_code",
    "error_message",
    "secret",
    "key_id",
    "name",
    "actor_id",
    "scopes",
    "status",
    "visibility",
    "issuer",
    "create_time",
    "update_time",
    "expire_time",
    "metadata",
];

/// Writes the result; `quiet` wins over `format`.
pub(crate) fn write(
    out: &mut dyn Write,
    output: &Output<'_>,
    format: Format,
    quiet: bool,
) -> io::Result<()> {
    if quiet {
        if let Some(essence) = &output.essence {
            writeln!(out, "{essence}")?;
        }
        return out.flush();
    }
    match format {
        Format::Json => writeln!(out, "{}", one_line(output.answer))?,
        Format::Table => write_table(out, &output.rows)?,
    }
    out.flush()
}

/// The body as it came, unless it has line breaks.
fn one_line(answer: &Answer) -> String {
    let text = answer.text.trim();
    if text.contains(['\n', '\r']) {
        answer.json.to_string()
    } else {
        text.to_owned()
    }
}

/// The fields of a JSON object as rows. Objects inside become rows with dotted names, except for metadata, which is
/// the user's own JSON. `is_active` only repeats `is_valid`.
pub(crate) fn rows(object: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(fields) = object.as_object() {
        add_rows(&mut rows, "", fields);
    }
    rows.retain(|(name, _)| name != "is_active");
    // Stable: what is not in the order keeps the alphabetical order of the map.
    rows.sort_by_key(|(name, _)| {
        ORDER
            .iter()
            .position(|known| known == name)
            .unwrap_or(ORDER.len())
    });
    rows
}

fn add_rows(rows: &mut Vec<Row>, parent: &str, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let name = if parent.is_empty() {
            name.clone()
        } else {
            format!("{parent}.{name}")
        };
        match value {
            Value::Object(inner) if name != "metadata" => add_rows(rows, &name, inner),
            value => rows.push((name, text(value))),
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if !items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().map(text).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// The rows in two aligned columns. Control characters are escaped: a key's name must not be able to steer a terminal.
fn write_table(out: &mut dyn Write, rows: &[Row]) -> io::Result<()> {
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
        let line = format!("{:width$}  {}", printable(name), printable(value));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(json: &Value, text: &str, format: Format, quiet: bool) -> String {
        let answer = Answer {
            text: text.to_owned(),
            json: json.clone(),
        };
        let output = Output {
            answer: &answer,
            rows: rows(json),
            essence: Some("essence".to_owned()),
        };
        let mut out = Vec::new();
        write(&mut out, &output, format, quiet).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_table_is_aligned_ordered_and_cannot_steer_the_terminal() {
        let answer = json!({
            "zeta": 1, "is_active": true, "scopes": ["a", "b"], "is_valid": true, "name": "x\u{1b}[31m\n",
            "metadata": {"team": "é"}, "rate_limit_policy": {"quota": "5", "window": "60s"}, "key_id": "k",
        });
        let expected = "\
is_valid                  true
key_id                    k
name                      x\\u{1b}[31m\\n
scopes                    a, b
metadata                  {\"team\":\"é\"}
rate_limit_policy.quota   5
rate_limit_policy.window  60s
zeta                      1
";
        assert_eq!(written(&answer, "", Format::Table, false), expected);
    }

    #[test]
    fn json_is_the_servers_own_on_one_line() {
        let json = json!({"b": 1, "a": 2});
        assert_eq!(
            written(&json, r#"{"b":1.0, "a":2}"#, Format::Json, false),
            "{\"b\":1.0, \"a\":2}\n"
        );
        assert_eq!(
            written(&json, "{\n \"b\":1,\n \"a\":2}\n", Format::Json, false),
            "{\"a\":2,\"b\":1}\n"
        );
    }

    #[test]
    fn quiet_is_the_essence_whatever_the_format() {
        for format in [Format::Table, Format::Json] {
            assert_eq!(written(&json!({}), "{}", format, true), "essence\n");
        }
    }
}
