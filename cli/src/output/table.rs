//! Results as tables, for people.

use std::io::{self, Write};

use serde_json::{Map, Value};

use crate::printable::printable;

/// A result as a table.
#[derive(Clone, Debug)]
pub(crate) enum Table {
    /// The fields of one object, one a line.
    Fields(Vec<Field>),
    /// Many objects, one a line. The first line is the names of the columns.
    List(Vec<Vec<String>>),
}

/// The name and the value of a field.
pub(crate) type Field = (String, String);

/// The fields that come first. All others follow in alphabetical order.
const ORDER: [&str; 17] = [
    "is_valid",
    "error_code",
    "error_message",
    "secret",
    "key_id",
    "id",
    "name",
    "role",
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

impl Table {
    /// The fields of a JSON object. Nested objects become fields with dotted names, except for
    /// metadata, which is the user's own JSON. `is_active` is left out, because it repeats
    /// `is_valid`.
    pub(crate) fn of_object(object: &Value) -> Self {
        let mut rows = Vec::new();
        if let Some(fields) = object.as_object() {
            add_fields(&mut rows, "", fields);
        }
        rows.retain(|(name, _)| name != "is_active");
        // The sort is stable: all other fields keep the alphabetical order of the map.
        rows.sort_by_key(|(name, _)| {
            ORDER
                .iter()
                .position(|known| known == name)
                .unwrap_or(ORDER.len())
        });
        Self::Fields(rows)
    }

    /// A table of these fields.
    pub(crate) fn of_texts(fields: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::Fields(fields.iter().map(owned).collect())
    }

    /// A list of the objects in a JSON array, with these members as columns.
    pub(crate) fn of_array(array: &[Value], columns: &[&str]) -> Self {
        let heading = columns.iter().map(|name| name.to_uppercase()).collect();
        let line = |object: &Value| {
            let cell = |name: &&str| object.get(*name).map(text).unwrap_or_default();
            columns.iter().map(cell).collect()
        };
        Self::List(
            std::iter::once(heading)
                .chain(array.iter().map(line))
                .collect(),
        )
    }

    /// Writes the table with aligned columns. Control characters are escaped, so that the name of a
    /// key cannot control the terminal.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let lines: Vec<Vec<String>> = match self {
            Self::Fields(fields) => fields
                .iter()
                .map(|(name, value)| vec![printable(name), printable(value)])
                .collect(),
            Self::List(lines) => lines
                .iter()
                .map(|line| line.iter().map(|cell| printable(cell)).collect())
                .collect(),
        };
        let mut widths = Vec::new();
        for line in &lines {
            widths.resize(line.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = cell.chars().count().max(*width);
            }
        }
        for line in lines {
            let cells = line.iter().zip(&widths);
            let padded: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            writeln!(out, "{}", padded.join("  ").trim_end())?;
        }
        Ok(())
    }
}

fn add_fields(rows: &mut Vec<Field>, parent: &str, fields: &Map<String, Value>) {
    for (name, value) in fields {
        let name = if parent.is_empty() {
            name.clone()
        } else {
            format!("{parent}.{name}")
        };
        match value {
            Value::Object(inner) if name != "metadata" => add_fields(rows, &name, inner),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn fields_are_aligned_ordered_and_cannot_steer_the_terminal() {
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
        assert_eq!(written(&Table::of_object(&answer)), expected);
    }

    #[test]
    fn lists_have_a_heading_and_a_line_each() {
        let keys = [
            json!({"key_id": "k", "name": "né"}),
            json!({"name": "long name", "status": "S", "x": 1}),
        ];
        let table = Table::of_array(&keys, &["key_id", "name", "status"]);
        assert_eq!(
            written(&table),
            "KEY_ID  NAME       STATUS\nk       né\n        long name  S\n"
        );
        let empty = Table::of_array(&[], &["key_id", "name"]);
        assert_eq!(written(&empty), "KEY_ID  NAME\n");
    }
}
