//! The command line, as a user runs it.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::TALOS;
use super::site::without_talos_variables;

/// The result of a command.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `talos` with these arguments against a server.
pub fn talos(address: SocketAddr, arguments: &[&str]) -> Ran {
    talos_with_input(address, arguments, "")
}

/// Runs `talos` with these arguments against a server, with `input` on its standard input.
pub fn talos_with_input(address: SocketAddr, arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(arguments)
        .args(["-e", &format!("http://{address}")]);
    run_with_input(command, input)
}

/// Runs a command to its end, with nothing on its standard input.
pub fn run(command: Command) -> Ran {
    run_with_input(command, "")
}

/// Runs a command to its end, with `input` on its standard input.
pub fn run_with_input(mut command: Command, input: &str) -> Ran {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // The write fails if the command ends before it has read everything.
        scope.spawn(move || stdin.write_all(input.as_bytes()));
        child.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Ran {
    /// The standard output of a command that must have succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }

    /// The standard output of a command that must have succeeded, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(self.succeeded()).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that a start was refused: exit code 1, and one line on standard error that contains
    /// all of `words`.
    #[track_caller]
    pub fn assert_one_line_and_code_1(&self, words: &[&str]) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "one line: {self:?}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "{word} is missing: {}",
                self.stderr
            );
        }
    }
}
