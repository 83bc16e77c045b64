//! Which crate may import which, and what no file may hold.

mod circles;
mod dependencies;
mod glossary;
mod imports;
mod paths;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate of the workspace, and which of the others it may import. Crates that assemble or
/// measure may import more.
const ARROWS: &[(&str, &[&str])] = &[
    ("talos-cells", &[]),
    ("talos-model", &[]),
    ("talos-credentials", &["talos-model"]),
    (
        "talos-engine",
        &["talos-cells", "talos-credentials", "talos-model"],
    ),
    ("talos-metrics", &[]),
    ("talos-places", &[]),
    ("talos-tls", &[]),
    ("talos-https", &["talos-tls"]),
    ("talos-config", &["talos-credentials", "talos-model"]),
    ("talos-api", &["talos-credentials", "talos-model"]),
    (
        "talos-server",
        &[
            "talos-api",
            "talos-config",
            "talos-credentials",
            "talos-engine",
            "talos-model",
            "talos-places",
            "talos-tls",
        ],
    ),
    (
        "talos-admin",
        &[
            "talos-api",
            "talos-config",
            "talos-credentials",
            "talos-engine",
            "talos-metrics",
            "talos-model",
            "talos-https",
            "talos-places",
            "talos-tls",
        ],
    ),
    ("talos-audit", &["talos-api", "talos-model"]),
    (
        "talos-replication",
        &["talos-model", "talos-places", "talos-tls"],
    ),
    (
        "talos-node",
        &[
            "talos-config",
            "talos-engine",
            "talos-model",
            "talos-replication",
        ],
    ),
    (
        "talos-proxy",
        &[
            "talos-api",
            "talos-credentials",
            "talos-https",
            "talos-metrics",
            "talos-model",
            "talos-places",
            "talos-tls",
        ],
    ),
    ("talos-loadtest", &["talos-api", "talos-tls"]),
    (
        TEST_KIT,
        &[
            "talos-api",
            "talos-credentials",
            "talos-engine",
            "talos-model",
            "talos-tls",
        ],
    ),
];
/// What tests and benches share. Every crate may import it for its tests, and for nothing else.
const TEST_KIT: &str = "talos-test-kit";
/// Crates that may import all others.
const ASSEMBLERS: [&str; 2] = ["talos", "talos-benches"];
const LINES_MAX: usize = 500;
const BANNED_MODULES: [&str; 5] = ["utils", "common", "helpers", "misc", "types"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// What cargo prints when it is run in the repository with these arguments.
fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The crates of the workspace as cargo describes them.
fn metadata() -> Value {
    let metadata = [
        "metadata",
        "--format-version",
        "1",
        "--no-deps",
        "--offline",
    ];
    serde_json::from_str(&cargo(&metadata)).unwrap()
}

/// The crates of the workspace, each with those that it imports, tests and build scripts included.
/// The kit for tests does not count where only tests import it.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let is_test_kit_for_tests =
        |import: &Value| import["name"] == TEST_KIT && import["kind"] == "dev";
    let imported = |package: &Value| -> BTreeSet<String> {
        let imports = package["dependencies"].as_array().unwrap().iter();
        let names = imports
            .filter(|import| !is_test_kit_for_tests(import))
            .map(name);
        names.filter(|name| ours.contains(name)).collect()
    };
    packages
        .iter()
        .map(|package| (name(package), imported(package)))
        .collect()
}

/// All Rust files below a directory of the repository, with their text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no source below {directory}");
    found
}

#[test]
fn crates_import_only_what_they_may() {
    let imports = imports();
    for (name, imported) in &imports {
        if ASSEMBLERS.contains(&name.as_str()) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(crate_name, _)| crate_name == name);
        let (_, allowed) =
            allowed.unwrap_or_else(|| panic!("{name} is new: say here what it may import"));
        for import in imported {
            assert!(
                allowed.contains(&import.as_str()),
                "{name} may not import {import}"
            );
        }
    }
    for &(name, _) in ARROWS {
        assert!(
            imports.contains_key(name),
            "{name} is gone: take it out here"
        );
    }
}

#[test]
fn the_data_plane_knows_no_storage_and_takes_no_lock() {
    for (path, text) in sources("server/src") {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in ["rocksdb", "RocksDB", "Mutex", "RwLock"] {
                assert!(
                    !code.contains(word),
                    "{}:{}: {word}",
                    path.display(),
                    number + 1
                );
            }
        }
    }
}

#[test]
fn files_are_short_and_about_something() {
    let mut long = Vec::new();
    for (path, text) in sources(".") {
        let (name, lines) = (
            path.file_stem().unwrap().to_string_lossy(),
            text.lines().count(),
        );
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .unwrap_or_default()
            .to_string_lossy();
        assert!(
            !BANNED_MODULES.contains(&&*name) && !BANNED_MODULES.contains(&&*folder),
            "{}",
            path.display()
        );
        if lines > LINES_MAX {
            long.push(format!("{}: {lines} lines", path.display()));
        }
        let declares = |line: &&str| {
            BANNED_MODULES
                .iter()
                .any(|banned| line.trim_end() == format!("mod {banned} {{"))
        };
        assert!(
            !text.lines().any(|line| declares(&line.trim_start())),
            "{}",
            path.display()
        );
    }
    assert!(long.is_empty(), "beyond {LINES_MAX} lines: {long:#?}");
}
