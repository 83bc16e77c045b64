//! `docs/configuration.md` ends with a table of every key.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use talos_config::{Fallback, KEYS, Key, SECTIONS, flow};

use super::compare;

const PAGE: &str = "docs/configuration.md";
/// The line after which everything is written by this test.
const MARK: &str = "<!-- Written by the tests of config/ from the table of keys. -->\n";

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .replace('*', "\\*")
        .replace('<', "&lt;")
}

fn default_of(key: &Key) -> String {
    match key.fallback {
        Fallback::Value(_) => format!("`{}`", flow(&key.default_value())),
        Fallback::Unset(meaning) => cell(&format!("unset: {meaning}")),
        Fallback::Required(_) => "required".to_owned(),
        Fallback::RequiredUnless { path, .. } => format!("required unless `{path}` is set"),
    }
}

fn row(key: &Key) -> String {
    let mut variable = format!("`{}`", key.variable());
    if key.file_variable().is_some() {
        variable.push_str(", `…_FILE`");
    }
    format!(
        "| `{}` | {} | {} | {} | {variable} | {} | {} |\n",
        key.path,
        key.kind_name(),
        default_of(key),
        cell(&key.allowed()),
        key.reload,
        cell(key.about),
    )
}

/// Whether the key is in the section, and in no section of it.
fn is_directly_in(key: &Key, section: &str) -> bool {
    let parent = key.path.rsplit_once('.').map(|(parent, _)| parent);
    parent == Some(section)
}

#[test]
fn the_page_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(PAGE);
    let page = fs::read_to_string(path).expect("the page");
    let (introduction, _) = page.split_once(MARK).expect("the mark");
    let mut tables = String::new();
    for section in SECTIONS {
        let keys = KEYS.iter().filter(|key| is_directly_in(key, section.path));
        let rows: Vec<String> = keys.map(row).collect();
        if rows.is_empty() {
            continue;
        }
        write!(
            tables,
            "\n### {}\n\n{}\n\n\
             | Key | Type | Default | Allowed | Variable | Reload | Description |\n\
             |---|---|---|---|---|---|---|\n{}",
            section.path,
            wrapped(section.about),
            rows.concat(),
        )
        .expect("a text");
    }
    compare(PAGE, &format!("{introduction}{MARK}{tables}"));
}

/// The text in lines of at most 100 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("at least one");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 100 {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}
