//! Writes a change as one line.

use clap::ValueEnum;
use serde_json::Value;

use crate::printable::{printable, printable_json};

/// The format of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns, for people
    Table,
    /// JSON as the server sends it, one object a line
    Json,
}

/// The columns and their widths. The widths are fixed because later changes are not known yet; a
/// longer text shifts the rest of its line.
const COLUMNS: [(&str, usize); 7] = [
    ("POSITION", 10),
    ("TIME", 24),
    ("EVENT", 21),
    ("ID", 36),
    ("ACTOR_ID", 16),
    ("AUTHOR", 16),
    ("NAME", 0),
];

/// Where each column is in a change: the first of the paths that is there.
const PATHS: [&[&str]; COLUMNS.len()] = [
    &["/position"],
    &["/time"],
    &["/event"],
    &["/key_id", "/rule/rule_id", "/admin_token/id"],
    &["/actor_id"],
    &["/author/name"],
    &["/key/name", "/admin_token/name"],
];

impl Format {
    /// The heading above all changes; empty for JSON.
    pub(super) fn heading(self) -> String {
        match self {
            Self::Table => columns(&COLUMNS.map(|(name, _)| name.to_owned())),
            Self::Json => String::new(),
        }
    }
}

/// A change to write.
pub(super) struct Line<'a> {
    data: &'a str,
}

impl<'a> Line<'a> {
    /// The change in the `data` of an event.
    pub(super) fn of(data: &'a str) -> Self {
        Self { data }
    }

    /// The line, with a line feed.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Json => format!("{}\n", printable_json(self.data)),
            Format::Table => {
                let change: Value = serde_json::from_str(self.data).unwrap_or_default();
                columns(&PATHS.map(|paths| {
                    let text = |path| change.pointer(path).and_then(Value::as_str);
                    printable(paths.iter().find_map(|path| text(path)).unwrap_or("-"))
                }))
            }
        }
    }
}

fn columns(cells: &[String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS);
    let line: String = cells
        .map(|(cell, (_, width))| format!("{cell:<width$}  "))
        .collect();
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let data = r#"{"event":"IssuedAPIKeyCreated","position":"1.42","time":"2026-01-01T00:00:00Z","tenant":"t","key_id":"k","actor_id":"a","key":{"name":"one\ntwo\u001b[2J"}}"#;
        let line = Line::of(data);
        assert_eq!(line.text(Format::Json), format!("{data}\n"));
        let text = line.text(Format::Table);
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            text.starts_with("1.42        2026-01-01T00:00:00Z      IssuedAPIKeyCreated    k ")
        );
        assert_eq!(Line::of("").text(Format::Table).matches('-').count(), 7);
        let of_token =
            r#"{"position":"1.43","author":{"name":"ops"},"admin_token":{"id":"i","name":"ci"}}"#;
        let cells = Line::of(of_token).text(Format::Table);
        let cells: Vec<_> = cells.split_whitespace().collect();
        assert_eq!(cells, ["1.43", "-", "-", "i", "-", "ops", "ci"]);
        assert!(Format::Table.heading().starts_with("POSITION    TIME  "));
        assert_eq!(Format::Json.heading(), "");
    }
}
