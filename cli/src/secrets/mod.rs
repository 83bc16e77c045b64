//! `talos secrets …`: replaces secrets in configuration files.

mod edited_file;
mod rotate;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use self::rotate::RotateHmacArguments;
use crate::console::Console;
use crate::error::CliError;

/// `talos secrets`.
#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Replace a secret by a new one, and keep the old one as retired
    #[command(subcommand)]
    Rotate(RotateCommand),
}

/// `talos secrets rotate`.
#[derive(Debug, Subcommand)]
pub(crate) enum RotateCommand {
    /// Replace secrets.hmac.current in the file of --config, which may be that of a tenant
    Hmac(RotateHmacArguments),
}

impl SecretsCommand {
    /// Runs the command. `config` is the file of `--config`.
    ///
    /// # Errors
    /// When the file cannot be edited; then it is unchanged.
    pub(crate) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        match self {
            Self::Rotate(RotateCommand::Hmac(rotate)) => rotate.run(config, console),
        }
    }
}
