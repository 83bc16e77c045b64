//! `talos backup …`: creates, verifies and restores backups.

mod create;
mod partial;
mod report;
mod restore;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;

use self::create::CreateArguments;
use self::restore::RestoreArguments;
use self::verify::VerifyArguments;
use crate::console::Console;
use crate::error::CliError;
use crate::server_arguments::ServerArguments;

/// `talos backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Write a consistent copy of all data of a running server to a file
    Create(CreateArguments),
    /// Check that a file is a complete backup; needs no server
    Verify(VerifyArguments),
    /// Create a database from a backup and the changes since; needs no server
    Restore(RestoreArguments),
}

impl BackupCommand {
    /// Runs the command.
    pub(crate) fn run(
        &self,
        server: &ServerArguments,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        match self {
            Self::Create(create) => create.run(&server.client()?, console)?,
            Self::Verify(verify) => verify.run(console)?,
            Self::Restore(restore) => restore.run(console)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
