//! The crates that a client library or a tool builds without the server do without RocksDB, whose
//! build takes a quarter of an hour and a C++ compiler.

use std::collections::BTreeSet;

use super::{cargo, imports};

/// Crates that do not depend on RocksDB, neither directly nor through another crate.
const WITHOUT_ROCKSDB: [&str; 12] = [
    "talos-api",
    "talos-audit",
    "talos-cells",
    "talos-config",
    "talos-credentials",
    "talos-https",
    "talos-metrics",
    "talos-model",
    "talos-places",
    "talos-proxy",
    "talos-replication",
    "talos-tls",
];
/// The packages that are RocksDB.
const ROCKSDB: [&str; 2] = ["librocksdb-sys", "rocksdb"];

/// The names of all packages that are compiled for this one, without those for its tests.
fn dependencies(package: &str) -> BTreeSet<String> {
    let tree = cargo(&[
        "tree",
        "--package",
        package,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--offline",
    ]);
    let names = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

fn needs_rocksdb(package: &str) -> bool {
    let dependencies = dependencies(package);
    assert!(dependencies.contains(package), "{dependencies:?}");
    ROCKSDB.iter().any(|name| dependencies.contains(*name))
}

#[test]
fn crates_below_the_engine_and_beside_it_do_without_rocksdb() {
    for package in WITHOUT_ROCKSDB {
        assert!(!needs_rocksdb(package), "{package} depends on RocksDB");
    }
}

#[test]
fn the_engine_is_seen_to_depend_on_rocksdb() {
    assert!(needs_rocksdb("talos-engine"));
}

#[test]
fn new_crates_without_rocksdb_are_listed() {
    let listed = |name: &str| WITHOUT_ROCKSDB.contains(&name);
    for name in ["talos-model", "talos-credentials"] {
        assert!(
            listed(name) || !imports().contains_key(name),
            "{name} exists now: list it in WITHOUT_ROCKSDB"
        );
    }
}
