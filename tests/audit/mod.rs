//! The audit log of a real server: what it notes, what it never holds, that no answer is given
//! without its entry when entries are required, and that an alteration is found.

mod blocked;
mod crash;
mod entries;
mod fleet;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::TALOS;
use crate::harness::cli::{Ran, run};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::tokens::SECRET;

/// The variables of a log that refuses what it cannot note.
const REQUIRED: [(&str, &str); 2] = [
    ("TALOS_AUDIT_REQUIRED", "true"),
    ("TALOS_AUDIT_FSYNC", "always"),
];

/// Starts a server with a log at `file`.
fn start(site: &Site, file: &Path, variables: &[(&str, &str)]) -> Server {
    let mut command = site.command();
    command
        .env("TALOS_AUDIT_FILE", file)
        .envs(variables.iter().copied());
    let log = tempfile::Builder::new()
        .prefix("server-")
        .suffix(".log")
        .tempfile_in(site.directory())
        .unwrap();
    Server::start(command, log.keep().unwrap().1)
}

/// All lines of the files, of which each is JSON.
fn lines(files: &[PathBuf]) -> Vec<Value> {
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    texts
        .flat_map(|text| {
            let lines = text.lines().map(serde_json::from_str);
            lines.collect::<Result<Vec<Value>, _>>().unwrap()
        })
        .collect()
}

/// `talos audit verify` with the secret of the sites, from the environment.
fn verify(files: &[PathBuf], arguments: &[&str]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["audit", "verify"])
        .args(arguments)
        .args(files)
        .env("TALOS_SECRETS_HMAC_CURRENT", SECRET);
    run(command)
}

/// The line `NAME: …` of a verification.
#[track_caller]
fn said<'a>(output: &'a str, name: &str) -> &'a str {
    let mut lines = output.lines();
    lines
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .unwrap_or_else(|| panic!("no {name}: {output}"))
}
