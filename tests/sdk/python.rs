//! `ory-client` for Python, in an environment that `scripts/python-client` makes once. A machine without Python or without
//! the package fails this test: it cannot tell what it should.

use std::path::Path;
use std::process::{Command, Output};

use super::start;
use crate::harness::Driver;
use crate::harness::site::Site;

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

#[test]
fn the_round_trip_of_a_key_through_the_python_client() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-client");
    let made = Command::new(root.join("scripts/python-client"))
        .arg(&environment)
        .output();
    let python = succeeded("scripts/python-client", &made.unwrap());
    let site = Site::new(Driver::Epoll);
    let server = start(&site);
    let ran = Command::new(python)
        .arg(root.join("tests/sdk/smoke.py"))
        .arg(format!("http://{}", server.address))
        .output();
    let said = succeeded("smoke.py", &ran.unwrap());
    assert_eq!(said, "the round trip succeeded");
    server.stop();
}
