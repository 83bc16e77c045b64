//! Where the configuration comes from: a file, or standard input.

use std::io::Write;
use std::path::Path;

use talos_config::{ConfigFile, Effective, Warning};

use crate::console::Console;
use crate::error::CliError;
use crate::printable::printable;

/// Standard input in place of a file.
const STANDARD_INPUT: &str = "-";

/// Whether a file is standard input.
pub(super) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

/// Reads the file, or standard input if it is `-`.
pub(super) fn read(path: &Path, console: &mut Console<'_>) -> Result<ConfigFile, CliError> {
    if !is_standard_input(path) {
        return Ok(ConfigFile::read(path)?);
    }
    let mut text = String::new();
    console
        .input
        .read_to_string(&mut text)
        .map_err(CliError::Terminal)?;
    Ok(ConfigFile::new("standard input".to_owned(), text))
}

/// Writes the warnings, each with the place of the value that it is about.
pub(super) fn write_warnings(warnings: &[Warning], effective: &Effective, remarks: &mut dyn Write) {
    for Warning { key, message } in warnings {
        let place = effective.place(key).map(|place| format!("{place}: "));
        let line = format!("{}{key}: {message}", place.unwrap_or_default());
        // A warning that cannot be written does not stop the command.
        let _ = writeln!(remarks, "talos: warning: {}", printable(&line));
    }
}
