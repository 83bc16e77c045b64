//! `talos config`: checks, shows, explains and compares configurations as a server would read them.

mod diff;
mod explain;
mod show;
mod validate;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::TALOS;
use crate::harness::cli::{Ran, run};
use crate::harness::site::without_talos_variables;
use crate::pages::run_blocks;

const SECRET: &str = "0f2b9c7d4e6a8135f2b9c7d4e6a81350";
const OTHER: &str = "1f2b9c7d4e6a8135f2b9c7d4e6a81351";

/// A directory with configuration files, in which commands run.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a file with the required keys, and more.
    fn valid(&self, name: &str, more: &str) {
        self.write(
            name,
            &format!(
                "credentials: {{issuer: 'https://keys.example.com'}}\n\
                 secrets: {{hmac: {{current: {SECRET}}}}}\n{more}"
            ),
        );
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments, &[]))
    }

    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        run(self.command(arguments, variables))
    }
}

#[test]
fn the_commands_of_the_page_work_as_written() {
    let name = "configuration.md";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(name);
    let page = fs::read_to_string(path).unwrap();
    let place = Place::new();
    run_blocks(
        name,
        &page,
        str::to_owned,
        "http://127.0.0.1:1",
        place.0.path(),
    );
}
