//! The glossary of docs/ARCHITECTURE.md speaks of what the code defines.

use std::collections::BTreeSet;

use super::tokens::definitions;
use super::{root, sources};

/// The rows of the table below the heading `## Glossary`, each as its cells, without the head.
fn rows(document: &str) -> Vec<Vec<&str>> {
    let section = document.split("\n## Glossary\n").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter_map(|line| {
        let line = line.trim();
        line.strip_prefix('|')?.strip_suffix('|')
    });
    let cells = lines.map(|line| line.split('|').map(str::trim).collect());
    cells.skip(2).collect()
}

/// What is between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn each_term_of_the_glossary_is_defined_in_the_code() {
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    let rows = rows(&document);
    assert!(rows.len() >= 12, "the glossary has {} terms", rows.len());
    let defined: BTreeSet<String> = sources(".")
        .iter()
        .filter(|(path, _)| !path.starts_with(root().join("tests")))
        .flat_map(|(_, text)| definitions(text))
        .collect();
    for row in rows {
        let [term, meaning, code] = row[..] else {
            panic!("not three cells: {row:?}");
        };
        assert!(!term.is_empty() && !meaning.is_empty(), "{row:?}");
        let identifiers = quoted(code);
        assert!(!identifiers.is_empty(), "{term} names no identifier");
        for identifier in identifiers {
            assert!(
                defined.contains(identifier),
                "{term}: the code defines no {identifier}"
            );
        }
    }
}

#[test]
fn a_row_is_read_cell_by_cell() {
    let document = "# A\n\n## Glossary\n\nWords.\n\n| Term | Meaning | Code |\n|---|---|---|\n\
        | one | first | `One`, `one()` |\n| two | second | |\n\n## Next\n\n| no | no | no |\n";
    assert_eq!(
        rows(document),
        [
            vec!["one", "first", "`One`, `one()`"],
            vec!["two", "second", ""]
        ]
    );
    assert_eq!(quoted("`One`, `one()`"), ["One", "one()"]);
}

#[test]
fn only_definitions_count() {
    let text = "/// struct Comment\npub struct One; fn two() { let x = \"enum Three\"; four(); }";
    assert_eq!(definitions(text).collect::<Vec<_>>(), ["One", "two"]);
}
