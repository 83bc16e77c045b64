//! Writes keys and their values as YAML.

use serde_json::Value;

use crate::section::find_section;

/// The most columns of a line with a comment.
const COLUMNS_MAX: usize = 100;
const INDENT: usize = 2;

/// Whether a mapping is introduced by a comment that says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionComments {
    /// Write them.
    Written,
    /// Leave them out.
    LeftOut,
}

/// Writes keys as nested mappings. Keys of one mapping must follow each other.
#[derive(Debug)]
pub struct YamlWriter {
    text: String,
    /// The names of the mappings around the last key.
    open: Vec<String>,
    sections: SectionComments,
}

impl YamlWriter {
    /// A document without keys.
    #[must_use]
    pub fn new(sections: SectionComments) -> Self {
        Self {
            text: String::new(),
            open: Vec::new(),
            sections,
        }
    }

    /// Writes a key. `above` are comments before it, one paragraph each, and `beside` is the
    /// comment after its value. An empty comment is left out, and an empty value means none.
    pub fn key(&mut self, path: &str, above: &[&str], value: &str, beside: &str) {
        let mut groups: Vec<&str> = path.split('.').collect();
        let name = groups.pop().unwrap_or_default();
        let mut groups_open = self.open.iter();
        let shared = groups
            .iter()
            .take_while(|group| groups_open.next().is_some_and(|open| open == *group))
            .count();
        self.open.truncate(shared);
        for group in groups.into_iter().skip(shared) {
            if self.open.is_empty() && !self.text.is_empty() {
                self.text.push('\n');
            }
            self.open.push(group.to_owned());
            let depth = self.open.len() - 1;
            if self.sections == SectionComments::Written
                && let Some(section) = find_section(&self.open.join("."))
            {
                self.comment(depth, section.about);
            }
            self.line(depth, &format!("{group}:"));
        }
        let depth = self.open.len();
        for paragraph in above {
            self.comment(depth, paragraph);
        }
        let mut line = format!("{name}:");
        if !value.is_empty() {
            line.push(' ');
            line.push_str(value);
        }
        if !beside.is_empty() {
            line.push_str("  # ");
            line.push_str(beside);
        }
        self.line(depth, &line);
    }

    /// The document.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, depth: usize, line: &str) {
        self.text.push_str(&" ".repeat(depth * INDENT));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Writes a comment on as many lines as it needs.
    fn comment(&mut self, depth: usize, text: &str) {
        let columns = COLUMNS_MAX - depth * INDENT;
        let mut line = String::new();
        for word in text.split_whitespace() {
            let length = line.chars().count() + word.chars().count() + 1;
            if !line.is_empty() && length > columns {
                self.line(depth, &line);
                line.clear();
            }
            line.push_str(if line.is_empty() { "# " } else { " " });
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(depth, &line);
        }
    }
}

/// The value on one line. Null is nothing.
#[must_use]
pub fn flow(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if is_plain(text) => text.clone(),
        // A JSON string is a double-quoted scalar of YAML.
        Value::String(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {}", flow(value));
            let fields: Vec<String> = fields.iter().map(field).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

/// Whether every YAML parser reads the unquoted text as this text.
fn is_plain(text: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "_./:@%+- ".contains(c);
    if !text.chars().all(is_known) || text.contains(": ") || text.ends_with([':', ' ']) {
        return false;
    }
    match text.chars().next() {
        Some('/' | '_') => true,
        Some('.') => text.starts_with("./"),
        Some(first) if first.is_ascii_digit() => !looks_like_a_number(text),
        Some(first) if first.is_ascii_alphabetic() => !is_reserved(text),
        _ => false,
    }
}

/// Whether a parser may take a text that begins with a digit for a number, or for a number of
/// minutes and seconds. Addresses, durations and sizes are none.
fn looks_like_a_number(text: &str) -> bool {
    let is_address = text.matches('.').count() >= 2;
    let has_unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
    let has_base = text.starts_with("0x") || text.starts_with("0o") || text.starts_with("0b");
    has_base || !(is_address || has_unit)
}

/// Words that some parsers take for booleans or null.
fn is_reserved(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tree::{self, Node};

    #[test]
    fn keys_are_nested() {
        let mut yaml = YamlWriter::new(SectionComments::Written);
        yaml.key("log.level", &["The level.", ""], "info", "default");
        yaml.key("db.dsn", &[], "x", "");
        yaml.key("replication.role", &[], "none", "");
        yaml.key("replication.log.retention", &[], "", "unset");
        yaml.key("replication.log.max_bytes", &[], "1", "");
        let text = yaml.finish();
        assert_eq!(
            text,
            "# The log of the server, on standard error.\nlog:\n  # The level.\n  level: info  # default\n\n\
             # Where keys are stored.\ndb:\n  dsn: x\n\n\
             # The role of this node in a cluster. See docs/REPLICATION.md, and primary.yaml and replica.yaml\n\
             # beside the sample file.\nreplication:\n  role: none\n\
             \x20 # The change log, from which replicas catch up. It exists with role none, too.\n\
             \x20 log:\n    retention:  # unset\n    max_bytes: 1\n"
        );
    }

    #[test]
    fn texts_are_quoted_where_a_parser_may_err() {
        for text in [
            "a",
            "a b",
            "ory_ak",
            "5m",
            "256 MiB",
            "0.0.0.0",
            "10.0.0.0/8",
            "127.0.0.1:4421",
            "https://keys.example.com",
            "./talos-data",
            "/srv/x",
            "Content-Type",
            "0.0.0",
            "2027-01-31T00:00:00Z",
        ] {
            assert_eq!(flow(&json!(text)), text);
        }
        for text in [
            "",
            "*",
            "-",
            "::1",
            "[::1]:80",
            "007",
            "1e3",
            "1.5",
            "0x1f",
            "12:30:45",
            "2026-01-01",
            "true",
            "No",
            "~",
            "null",
            ".inf",
            "a: b",
            "a #b",
            "a:",
            "'",
            "\"",
            "é",
            "{a}",
            " a",
            "a ",
            "a,b",
            "+1",
            "-1",
            "1_000",
        ] {
            assert_eq!(flow(&json!(text)), json!(text).to_string(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let values = json!(["a", "007", "*", {"name": "x: y", "uid": "1"}, ["\u{1b}é\"\\"]]);
        let read = tree::parse(&flow(&values)).expect("YAML");
        let Node::List(items) = read.value else {
            panic!("a list")
        };
        let texts: Vec<&Node> = items.iter().map(|item| &item.value).collect();
        assert_eq!(texts[1], &Node::Scalar("007".to_owned()));
        assert_eq!(texts[2], &Node::Scalar("*".to_owned()));
        assert!(matches!(texts[4], Node::List(list)
            if list[0].value == Node::Scalar("\u{1b}é\"\\".to_owned())));
    }
}
