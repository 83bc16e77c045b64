//! The program `talos-loadtest`; all of it is in the library, where tests reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    talos_loadtest::command_line(std::env::args_os())
}
