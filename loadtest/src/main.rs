//! The program `talos-loadtest`; all of it is in the library, where tests reach it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    talos_loadtest::command_line(std::env::args_os())
}
