//! No files of a crate import each other in a circle: each can be read with only the files below
//! it in mind.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::imports::{Imports, Sources, imports};
use super::{metadata, root, sources};

const CONNECTION: &str = "the child runs one connection with what the parent shares among all";
const DATA: &str = "the child reads or writes the types that the parent defines";

/// Parents whose children import them although they import the children, and why that reads well.
/// docs/ARCHITECTURE.md names them, too.
const PARENTS: [(&str, &str); 4] = [
    ("engine/credentials/src/token/jwk/mod.rs", DATA),
    ("replication/src/driver/primary/mod.rs", CONNECTION),
    ("replication/src/driver/replica/mod.rs", CONNECTION),
    ("replication/src/handshake/mod.rs", DATA),
];

/// Whether `file` is of a module that is in the module of `parent`.
fn is_below(file: &Path, parent: &Path) -> bool {
    let folder = if parent.ends_with("mod.rs") {
        parent.parent().unwrap().to_owned()
    } else {
        parent.with_extension("")
    };
    file != parent && file.starts_with(folder)
}

/// The imports without those of the parents by their children.
fn without_natural(mut imports: Imports, parents: &[(&str, &str)]) -> Imports {
    for (file, imported) in &mut imports {
        imported.retain(|target, _| {
            let is_parent = parents
                .iter()
                .any(|(parent, _)| Path::new(parent) == target);
            !(is_parent && is_below(file, target))
        });
    }
    imports
}

/// All files that `from` imports, and those that they import, and so on.
fn reached<'a>(imports: &'a Imports, from: &'a Path) -> BTreeSet<&'a Path> {
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(file) = waiting.pop() {
        for target in imports.get(file).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(target.as_path()) {
                waiting.push(target);
            }
        }
    }
    reached
}

/// The circles, each with all of its files. Two circles that share a file are one.
fn circles(imports: &Imports) -> Vec<BTreeSet<&Path>> {
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = imports
        .keys()
        .map(|file| (file.as_path(), reached(imports, file)))
        .collect();
    let reaches = |from: &Path, to: &Path| reached.get(from).is_some_and(|all| all.contains(to));
    let mut circles: Vec<BTreeSet<&Path>> = Vec::new();
    for file in reached.keys().copied().filter(|file| reaches(file, file)) {
        let mut of_circle = circles.iter_mut().filter(|circle| {
            circle
                .first()
                .is_some_and(|other| reaches(file, other) && reaches(other, file))
        });
        match of_circle.next() {
            Some(circle) => {
                circle.insert(file);
            }
            None => circles.push(BTreeSet::from([file])),
        }
    }
    circles
}

/// A circle with the names that tie it.
fn describe(circle: &BTreeSet<&Path>, imports: &Imports) -> String {
    let mut text = format!("a circle of {} files:\n", circle.len());
    for file in circle {
        for (target, names) in &imports[*file] {
            if circle.contains(target.as_path()) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let (file, target) = (file.display(), target.display());
                text += &format!("  {file} -> {target}: {}\n", names.join(", "));
            }
        }
    }
    text
}

/// The crates of the workspace, each with the imports among its files, whose paths begin at the
/// root of the repository.
fn crates() -> BTreeMap<String, Imports> {
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_owned();
    let mut crates: BTreeMap<String, Imports> = BTreeMap::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let folder = relative(manifest.parent().unwrap()).join("src");
        let sources: Sources = sources(folder.to_str().unwrap())
            .into_iter()
            .map(|(path, text)| (relative(&path), text))
            .collect();
        for target in package["targets"].as_array().unwrap() {
            let path = PathBuf::from(text(&target["src_path"]));
            let path = relative(&path);
            if sources.contains_key(&path) {
                let imports = imports(&sources, &path);
                crates
                    .entry(text(&package["name"]))
                    .or_default()
                    .extend(imports);
            }
        }
    }
    crates
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut failures = String::new();
    for imports in crates().into_values() {
        let imports = without_natural(imports, &PARENTS);
        let circles = circles(&imports);
        for circle in &circles {
            failures += &describe(circle, &imports);
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn every_excepted_parent_needs_its_exception_and_is_documented() {
    let crates = crates();
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (parent, _) in PARENTS {
        assert!(
            document.contains(&format!("`{parent}`")),
            "docs/ARCHITECTURE.md does not name {parent}"
        );
        let parent = Path::new(parent);
        let imports_child = |imports: &Imports| {
            let imported = imports.get(parent);
            imported.is_some_and(|imported| imported.keys().any(|file| is_below(file, parent)))
        };
        let child_imports = |imports: &Imports| {
            imports
                .iter()
                .any(|(file, imported)| is_below(file, parent) && imported.contains_key(parent))
        };
        assert!(
            crates
                .values()
                .any(|imports| imports_child(imports) && child_imports(imports)),
            "{} needs no exception any more: take it out of PARENTS",
            parent.display()
        );
    }
}

/// A small crate: paths and texts.
fn crate_of(files: &[(&str, &str)]) -> Imports {
    let sources: Sources = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), (*text).to_owned()))
        .collect();
    imports(&sources, Path::new("a/src/lib.rs"))
}

fn found(imports: &Imports) -> Vec<String> {
    let circles = circles(imports);
    circles
        .iter()
        .map(|circle| describe(circle, imports))
        .collect()
}

#[test]
fn a_circle_is_found_with_the_names_that_tie_it() {
    let files = [
        (
            "a/src/lib.rs",
            "mod one; mod two; mod leaf; pub use one::One;",
        ),
        (
            "a/src/one.rs",
            "use crate::{leaf::{self, Leaf}, two::Two as Other};",
        ),
        ("a/src/two/mod.rs", "mod inner; pub use inner::Two;"),
        (
            "a/src/two/inner.rs",
            "fn f() { super::super::one::make(\"crate::leaf\") } // crate::leaf::x\n",
        ),
        (
            "a/src/leaf.rs",
            "#[cfg(test)] use crate::one::One; pub struct Leaf;",
        ),
    ];
    let circle = "a circle of 2 files:\n  \
        a/src/one.rs -> a/src/two/inner.rs: Two\n  \
        a/src/two/inner.rs -> a/src/one.rs: make\n";
    assert_eq!(found(&crate_of(&files)), [circle]);
}

#[test]
fn what_is_no_circle_is_not_found() {
    let files = [
        ("a/src/lib.rs", "mod one; mod two; #[cfg(test)] mod tests;"),
        (
            "a/src/one.rs",
            "use super::two::{Two}; mod tests { use super::*; }",
        ),
        (
            "a/src/two.rs",
            "pub(in crate::one) struct Two; #[cfg(test)] mod tests { use crate::one::f; }",
        ),
        ("a/src/tests.rs", "use crate::one;"),
    ];
    assert!(found(&crate_of(&files)).is_empty());
}

#[test]
fn only_a_listed_parent_may_be_imported_by_the_children_that_it_imports() {
    let files = [
        ("a/src/lib.rs", "mod parent;"),
        (
            "a/src/parent.rs",
            "mod child; use child::Child; struct Shared;",
        ),
        (
            "a/src/parent/child.rs",
            "use super::Shared; pub struct Child(char = '\"');",
        ),
    ];
    let imports = crate_of(&files);
    assert_eq!(found(&imports).len(), 1);
    let natural = without_natural(imports, &[("a/src/parent.rs", "")]);
    assert!(found(&natural).is_empty());
}

#[test]
fn strings_and_characters_hide_no_code_and_are_none() {
    let files = [
        ("a/src/lib.rs", "mod one; mod two;"),
        (
            "a/src/one.rs",
            r##"const A: &str = r#"" use crate::two::A; "#; const B: char = '"'; use crate::two::B;"##,
        ),
        (
            "a/src/two.rs",
            r#"fn f<'a>(_: &'a str) { '\''; "\"crate::one::A"; /* /* */ crate::one::B */ crate::one::C; }"#,
        ),
    ];
    let circle = "a circle of 2 files:\n  \
        a/src/one.rs -> a/src/two.rs: B\n  \
        a/src/two.rs -> a/src/one.rs: C\n";
    assert_eq!(found(&crate_of(&files)), [circle]);
}
