//! `docs/limits.md` lists every limit with its default and what is allowed.

#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use talos_config::{Fallback, KEYS, Key};

/// The sections that the page lists.
const SECTIONS: [&str; 3] = [
    "serve.http.limits.",
    "serve.http.timeouts.",
    "serve.http.throttle.",
];

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/limits.md");
    fs::read_to_string(path).expect("the page")
}

/// The cells of the rows whose first cell is one key, by key.
fn rows(page: &str) -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::new();
    for line in page.lines() {
        let mut cells = line.split('|').map(|cell| cell.trim().to_owned());
        let first = cells.nth(1).unwrap_or_default();
        let key = first
            .strip_prefix('`')
            .and_then(|rest| rest.strip_suffix('`'));
        let Some(key) = key.filter(|key| key.starts_with("serve.")) else {
            continue;
        };
        let cells: Vec<String> = cells.filter(|cell| !cell.is_empty()).collect();
        assert!(rows.insert(key.to_owned(), cells).is_none(), "twice: {key}");
    }
    rows
}

/// What a cell says about the default.
fn default_of(key: &Key) -> String {
    match key.fallback {
        Fallback::Value(value) => value.to_owned(),
        Fallback::Unset(meaning) => format!("unset: {meaning}"),
        Fallback::Required(_) | Fallback::RequiredUnless { .. } => "required".to_owned(),
    }
}

/// What a cell says about the bounds: what is allowed, without an introduction and examples.
fn bounds_of(key: &Key) -> String {
    let allowed = key.allowed();
    let bounds = allowed.split(", such as").next().unwrap_or_default();
    let bounds = bounds.split(" such as").next().unwrap_or_default();
    let kinds = ["a whole number from ", "a duration from ", "a size from "];
    let stripped = kinds.iter().find_map(|kind| bounds.strip_prefix(kind));
    stripped.unwrap_or(bounds).to_owned()
}

#[test]
fn the_page_has_every_limit_with_its_default_and_bounds() {
    let mut rows = rows(&page());
    for key in KEYS {
        if !SECTIONS.iter().any(|section| key.path.starts_with(section)) {
            continue;
        }
        let row = rows.remove(key.path);
        let row = row.unwrap_or_else(|| panic!("{} is missing from the page", key.path));
        let [default, bounds, protects] = row.as_slice() else {
            panic!("{}: {row:?}", key.path);
        };
        assert_eq!(
            (default.as_str(), bounds.as_str()),
            (default_of(key).as_str(), bounds_of(key).as_str()),
            "{}",
            key.path
        );
        assert!(protects.len() > 20, "{}: {protects}", key.path);
    }
    assert!(rows.is_empty(), "no such limits: {rows:?}");
}
