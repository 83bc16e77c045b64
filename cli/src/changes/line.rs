//! A change as one line.

use clap::ValueEnum;
use serde_json::Value;

use crate::output::printable;

/// How changes are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// In columns, for people
    Table,
    /// As the server sends it: one object a line
    Json,
}

/// The columns and how wide they are. Nobody knows what is still to come, so a longer text moves the rest of its line.
const COLUMNS: [(&str, usize); 6] = [
    ("POSITION", 10),
    ("TIME", 24),
    ("EVENT", 21),
    ("KEY_ID", 36),
    ("ACTOR_ID", 16),
    ("NAME", 0),
];

impl Format {
    /// What stands above all changes.
    pub(super) fn heading(self) -> String {
        match self {
            Self::Table => columns(&COLUMNS.map(|(name, _)| name.to_owned())),
            Self::Json => String::new(),
        }
    }
}

/// A change.
pub(super) struct Line<'a> {
    data: &'a str,
}

impl<'a> Line<'a> {
    /// The change whose `data` this is.
    pub(super) fn of(data: &'a str) -> Self {
        Self { data }
    }

    /// The line, with its end.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Json => format!("{}\n", self.data),
            Format::Table => {
                let change: Value = serde_json::from_str(self.data).unwrap_or_default();
                let paths = [
                    "/position",
                    "/time",
                    "/event",
                    "/key_id",
                    "/actor_id",
                    "/key/name",
                ];
                columns(&paths.map(|path| {
                    let text = change.pointer(path).and_then(Value::as_str);
                    printable(text.unwrap_or("-"))
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
        assert_eq!(Line::of("").text(Format::Table).matches('-').count(), 6);
        assert!(Format::Table.heading().starts_with("POSITION    TIME  "));
        assert_eq!(Format::Json.heading(), "");
    }
}
