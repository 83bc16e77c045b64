//! `talos migrate …`: the format of the database on disk.
//!
//! Every release reads the formats before its own, and `talos serve` creates a missing database.
//! These commands are for deployments that do so in advance, or that check the format. There is one
//! format so far.

use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use talos_config::{Database, DsnOverride, Warning};
use talos_engine::format::{self, PRESENT};

use crate::environment::variables;
use crate::error::CliError;

/// `talos migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateCommand {
    /// Where the keys are stored; default: `DB_DSN`, `DSN` or the configuration
    #[arg(long, global = true, value_name = "DSN")]
    database: Option<String>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create the database if there is none, and bring it to the format of this release
    Up(Steps),
    /// Go back to an earlier format; there is none yet
    Down(Steps),
    /// Show the format; does not open the database, so a server may be running
    Status,
    /// Declare that the database has this format, after an interrupted migration
    Force {
        /// The number of the format
        version: u32,
    },
}

#[derive(Debug, Args)]
struct Steps {
    /// The most formats to go up or down
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
}

impl MigrateCommand {
    /// Runs the command. Writes its result to `out` and warnings to `remarks`.
    pub(crate) fn run(
        &self,
        config: Option<&Path>,
        out: &mut dyn Write,
        remarks: &mut dyn Write,
    ) -> Result<(), CliError> {
        let (database, warnings) = self.database(config)?;
        for Warning { key, message } in warnings {
            // A warning that cannot be written does not stop the command.
            let _ = writeln!(remarks, "talos: {key}: {message}");
        }
        let directory = &database.directory;
        let found = format::of(directory)?;
        let message = match &self.action {
            // With one format there is at most one step, whatever the limit.
            Action::Up(_) => {
                if found.is_some() {
                    "nothing to do".to_owned()
                } else {
                    format::prepare(directory, database.shards, database.block_cache_bytes)?;
                    "made".to_owned()
                }
            }
            Action::Down(_) => match found {
                None => "nothing to do".to_owned(),
                Some(_) => return Err(CliError::NoEarlierFormat(directory.clone())),
            },
            Action::Status => "up to date".to_owned(),
            Action::Force { version } => match found {
                Some(found) if found == *version => "nothing to do".to_owned(),
                _ => {
                    return Err(CliError::OtherFormat {
                        path: directory.clone(),
                        found,
                        asked: *version,
                    });
                }
            },
        };
        let now = format::of(directory)?;
        let line = match now {
            Some(format) => format!(
                "{}: format {format} of {PRESENT}, {message}",
                directory.display()
            ),
            None => format!(
                "{}: no database, format 0 of {PRESENT}",
                directory.display()
            ),
        };
        writeln!(out, "{line}")
            .and_then(|()| out.flush())
            .map_err(CliError::Terminal)
    }

    /// Where the keys are stored. The command line and the two short variables override the
    /// configuration.
    fn database(&self, config: Option<&Path>) -> Result<(Database, Vec<Warning>), CliError> {
        let variable = |name: &'static str| Some((name, std::env::var(name).ok()?));
        let given = self.database.clone().map(|dsn| ("--database", dsn));
        let given = given
            .or_else(|| variable("DB_DSN"))
            .or_else(|| variable("DSN"))
            .map(|(place, dsn)| DsnOverride { place, dsn });
        Ok(Database::load(config, variables(), given)?)
    }
}
