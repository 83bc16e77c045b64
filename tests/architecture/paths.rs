//! The files and folders that docs/ARCHITECTURE.md names exist.

use std::collections::BTreeSet;

use super::root;

/// The paths in `document`: text between backticks that begins with a folder of `folders`.
fn paths<'a>(document: &'a str, folders: &BTreeSet<String>) -> Vec<&'a str> {
    let quoted = document.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let folder = text.split_once('/').map(|(folder, _)| folder);
        folder.is_some_and(|folder| folders.contains(folder)) && !text.contains(' ')
    };
    quoted.filter(is_path).collect()
}

#[test]
fn each_path_on_the_page_exists() {
    let document = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    // Code fences hold three backticks each, so they do not shift the pairs.
    let document = document.replace("```", "");
    let folders = std::fs::read_dir(root()).unwrap();
    let folders = folders.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let paths = paths(&document, &folders.collect());
    assert!(paths.len() > 60, "only {} paths found", paths.len());
    let missing: Vec<_> = paths
        .into_iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn only_text_below_a_folder_is_a_path() {
    let folders = BTreeSet::from(["admin".to_owned()]);
    let document = "`admin/src/gone.rs`, `admin`, `other/x.rs`, `/health/ready`, `admin/ no`";
    assert_eq!(paths(document, &folders), ["admin/src/gone.rs"]);
}
