//! The page about the proxy is complete.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::TALOS;

/// Every option that the page names exists, and every option is on the page.
#[test]
fn the_page_names_every_option() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/proxy.md");
    let page = fs::read_to_string(page).unwrap();
    let help = Command::new(TALOS)
        .args(["proxy", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words
            .filter(|word| word.starts_with("--") && word.len() > 2)
            .map(str::to_owned)
            .collect()
    };
    // Those of all commands.
    let general = [
        "--ca",
        "--cert",
        "--config",
        "--endpoint",
        "--help",
        "--key",
        "--retries",
        "--timeout",
        "--token",
        "--token-file",
    ];
    let general = general.map(str::to_owned);
    let known = &options(&help) - &general.clone().into();
    let named: BTreeSet<_> = page
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .flat_map(options)
        .collect();
    assert_eq!(named, known);
}
