//! `talos config …`: checks, shows, explains and compares configurations without a server, and has
//! a server load its own again.

mod diff;
mod explain;
mod reload;
mod schema;
mod show;
mod source;
mod validate;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use self::diff::DiffArguments;
use self::explain::ExplainArguments;
use self::reload::ReloadArguments;
use self::show::ShowArguments;
use self::validate::ValidateArguments;
use crate::console::Console;
use crate::error::CliError;
use crate::server_arguments::ServerArguments;

/// `talos config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check file and environment as `talos serve` does, without starting; exits with 1 if anything
    /// is wrong
    Validate(ValidateArguments),
    /// Show the settings that are not at their defaults, secrets masked, and where each comes from
    Show(ShowArguments),
    /// Write the JSON Schema of the configuration file, for editors
    Schema,
    /// Explain a key: its type, default, bounds and environment variable
    Explain(ExplainArguments),
    /// Compare the configuration with another file; exits with 1 if they differ
    Diff(DiffArguments),
    /// Have the server at the endpoint load its configuration again; exits with 1 if that cannot be
    /// used
    Reload(ReloadArguments),
}

impl ConfigCommand {
    /// Runs the command. `config` is the file of `--config`; only a reload needs the server.
    pub(crate) fn run(
        &self,
        server: &ServerArguments,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        match self {
            Self::Validate(validate) => validate.run(config, console),
            Self::Show(show) => show.run(config, console),
            Self::Schema => schema::run(console),
            Self::Explain(explain) => explain.run(console),
            Self::Diff(diff) => diff.run(config, console),
            Self::Reload(reload) => reload.run(&server.client()?, console),
        }
    }
}
