//! `talos config schema`: the JSON Schema of the configuration file.

use std::process::ExitCode;

use talos_config::json_schema;

use crate::console::Console;
use crate::error::CliError;

/// Writes the schema.
pub(super) fn run(console: &mut Console<'_>) -> Result<ExitCode, CliError> {
    writeln!(console.out, "{:#}", json_schema())
        .and_then(|()| console.out.flush())
        .map_err(CliError::Terminal)?;
    Ok(ExitCode::SUCCESS)
}
