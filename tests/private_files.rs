//! What other users of the machine can read: neither the database nor, by way of the log, a
//! terminal that obeys a client.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::Driver;
use crate::harness::site::Site;

/// Every file and directory below `path`, and `path`.
fn all_below(path: &Path) -> Vec<PathBuf> {
    let mut all = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            all.extend(all_below(&entry.unwrap().path()));
        }
    }
    all
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn assert_private(data: &Path) {
    let all = all_below(data);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{}", path.display());
    }
}

#[test]
fn the_database_is_for_its_owner_and_an_open_one_is_closed_with_a_warning() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    server.connect().issue("key");
    assert_private(site.data());
    let warnings = |lines: &[Value]| {
        let modes = lines.iter().filter(|line| line["level"] == "WARN");
        modes
            .filter_map(|line| line["mode"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert!(warnings(&server.log_lines()).is_empty());
    server.stop();
    for path in all_below(site.data()) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(open)).unwrap();
    }
    let server = site.start();
    assert_private(site.data());
    assert_eq!(warnings(&server.log_lines()), ["755"]);
    server.stop();
}

#[test]
fn control_characters_of_clients_do_not_reach_the_log() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let actor = "a\u{9b}31m\u{85}\u{7f}\u{1b}[2J\nx";
    let body = json!({"name": "n", "actor_id": actor});
    let answer = server
        .connect()
        .post("/v2alpha1/admin/issuedApiKeys", &body);
    assert_eq!(answer.status, 201);
    let path = server.log.clone();
    server.stop();
    let log = fs::read_to_string(path).unwrap();
    let mut lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(lines.any(|line| line["owner_id"] == actor), "{log}");
    assert!(
        !log.contains(|c: char| c.is_control() && c != '\n'),
        "{log:?}"
    );
}
