//! Schemathesis, a property tester from elsewhere, reads the document and sends the server valid
//! and invalid requests of every operation. `scripts/property-tester` makes its environment once.
//! Without Python or the package the test fails.

use std::path::Path;
use std::process::Command;

use crate::harness::Driver;
use crate::harness::site::Site;

/// For how long requests are made.
const SECONDS: &str = "45";
/// The fewest requests that show something: one for each operation. A machine that does nothing
/// else makes thousands.
const REQUESTS_MIN: usize = 43;

#[test]
fn the_server_does_what_its_document_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let settings = root.join("tests/openapi/tester");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("property-tester");
    let made = Command::new(root.join("scripts/property-tester"))
        .arg(&environment)
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let tested = Command::new(environment.join("bin/schemathesis"))
        .arg("--config-file")
        .arg(settings.join("schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", server.address)])
        .args(["--checks", "all", "--seed", "14", "--no-color"])
        .args(["--max-time", SECONDS, "--max-examples", "15"])
        .env("SCHEMATHESIS_HOOKS", settings.join("hooks.py"))
        .current_dir(site.directory())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tested.stdout);
    let complained = String::from_utf8_lossy(&tested.stderr);
    assert!(
        tested.status.success(),
        "{}\n{said}{complained}",
        tested.status
    );
    println!("{said}");
    assert!(requests(&said) >= REQUESTS_MIN, "{said}");
    server.stop();
}

/// How many requests the tester made.
fn requests(said: &str) -> usize {
    let line = said.lines().find(|line| line.contains(" generated, "));
    let count = line.and_then(|line| line.split_whitespace().next());
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}
