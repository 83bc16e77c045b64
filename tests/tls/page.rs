//! `docs/tls.md` works as written: its `sh` blocks run in order, in one shell, and each comment
//! `serve` starts the server of the `console` block before it, in place of the one before.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::harness::TALOS;
use crate::harness::site::{Server, without_talos_variables};

const PAGE: &str = include_str!("../../docs/tls.md");
/// Printed after each block.
const MARK: &str = "@@ end of block";

/// The shell in which the page's commands run.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(directory: &Path) -> Self {
        let mut command = Command::new("bash");
        without_talos_variables(&mut command);
        let mut child = command
            .args(["-euo", "pipefail"])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    /// Runs a block, and returns the lines that it prints.
    fn run(&mut self, block: &str) -> Vec<String> {
        // The shell reads its commands from the same input, which the commands must not read.
        write!(
            self.input,
            "{{\n{block}}} </dev/null\necho; echo '{MARK}'\n"
        )
        .unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).unwrap();
            assert!(read > 0, "a command failed in\n{block}\nafter {lines:?}");
            if line.trim_end() == MARK {
                return lines;
            }
            let line = line.trim_end();
            lines.extend((!line.is_empty()).then(|| line.to_owned()));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts what a `console` block says, on a free port.
fn serve(directory: &Path, line: &str) -> Server {
    let settings = line
        .strip_prefix("$ ")
        .and_then(|line| line.strip_suffix(" talos serve --dev"))
        .expect("settings and the command");
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["serve", "--dev"])
        .env("TALOS_SERVE_HTTP_PORT", "0")
        .env("TALOS_SERVE_METRICS_PORT", "0")
        .env("TALOS_LOG_FORMAT", "json")
        .env("TALOS_LOG_LEVEL", "info")
        .envs(settings.split(' ').map(|set| set.split_once('=').unwrap()))
        .current_dir(directory);
    Server::start_unready(command, directory.join("server.log"))
}

fn stop(server: Option<Server>) {
    if let Some(mut server) = server {
        kill_process(Pid::from_child(server.process()), Signal::TERM).unwrap();
        assert!(server.wait().success());
    }
}

#[test]
fn every_step_of_the_page_works() {
    let directory: TempDir = tempfile::tempdir().unwrap();
    let mut shell = Shell::start(directory.path());
    let (mut open, mut text) = ("", String::new());
    let (mut console, mut printed) = (String::new(), Vec::new());
    let (mut server, mut compared) = (None::<Server>, 0);
    for line in PAGE.lines() {
        match (open, line.strip_prefix("```")) {
            ("", Some(kind)) => (open, text) = (kind, String::new()),
            ("", None) if line == "<!-- serve -->" => {
                stop(server.take());
                server = Some(serve(directory.path(), &console));
            }
            ("", None) => {}
            (kind, Some(_)) => {
                match kind {
                    "sh" => {
                        let port = server.as_ref().map_or(0, |server| server.address.port());
                        printed = shell.run(&text.replace("4420", &port.to_string()));
                    }
                    "console" => text.trim_end().clone_into(&mut console),
                    "output" => {
                        let expected: Vec<_> = text.lines().collect();
                        assert_eq!(expected.len(), printed.len(), "{printed:?}");
                        for (expected, printed) in expected.iter().zip(&printed) {
                            let parts: Vec<_> = expected.split('…').collect();
                            assert!(
                                printed.starts_with(parts[0])
                                    && printed.ends_with(parts[parts.len() - 1])
                                    && (parts.len() > 1 || *expected == printed.as_str()),
                                "{expected} is said, {printed} was printed"
                            );
                        }
                        compared += 1;
                    }
                    _ => {}
                }
                open = "";
            }
            (_, None) => text += &format!("{line}\n"),
        }
    }
    stop(server);
    assert_eq!(compared, PAGE.matches("```output").count());
    assert!(compared >= 5, "only {compared} outputs were found");
}
