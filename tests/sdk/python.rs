//! `ory-client` for Python, in an environment that `scripts/python-client` makes once. Without
//! Python or the package the test fails.

use std::path::Path;
use std::process::{Command, Output};

use super::{start, start_with};
use crate::harness::Driver;
use crate::harness::site::Site;
use crate::harness::tokens::SECRET;

#[track_caller]
fn succeeded(what: &str, output: &Output) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{what}: {}\n{out}{err}",
        output.status
    );
    out.trim().to_owned()
}

/// Runs the script `name` of this directory and returns its output.
pub fn run(name: &str, arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-client");
    let made = Command::new(root.join("scripts/python-client"))
        .arg(&environment)
        .output();
    let python = succeeded("scripts/python-client", &made.unwrap());
    let ran = Command::new(python)
        .arg(root.join("tests/sdk").join(name))
        .args(arguments)
        .output();
    succeeded(name, &ran.unwrap())
}

#[test]
fn the_round_trip_of_a_key_through_the_python_client() {
    let site = Site::new(Driver::Epoll);
    let server = start(&site);
    let said = run("smoke.py", &[&format!("http://{}", server.address)]);
    assert_eq!(said, "the round trip succeeded");
    server.stop();
}

#[test]
fn tokens_and_other_libraries_understand_each_other() {
    for (kind, algorithm) in [("eddsa", "EdDSA"), ("rsa", "RS256")] {
        let site = Site::new(Driver::Epoll);
        let server = start_with(&site, kind);
        let url = format!("http://{}", server.address);
        let said = run("tokens.py", &[&url, SECRET, algorithm]);
        assert_eq!(said, "the tokens hold", "{algorithm}");
        server.stop();
    }
}
