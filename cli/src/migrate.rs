//! `talos migrate …`: the format of the database on disk.
//!
//! Every release reads the formats before its own, and `talos serve` makes a missing database itself, so these commands
//! are for deployments that want it done, or seen, before. There is one format so far.

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
    /// Where the keys are stored; else `DB_DSN`, `DSN` or the configuration says it
    #[arg(long, global = true, value_name = "DSN")]
    database: Option<String>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the database if there is none, and bring it to the format of this release
    Up(Steps),
    /// Go back to an earlier format; there is none to go back to
    Down(Steps),
    /// Show the format; opens nothing, so that a server may be running
    Status,
    /// Declare that the database has this format, when an interrupted migration left that open
    Force {
        /// The number of the format
        version: u32,
    },
}

#[derive(Debug, Args)]
struct Steps {
    /// How many formats at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
}

impl MigrateCommand {
    /// Runs the command: its result goes to `out`, remarks to `remarks`.
    pub(crate) fn run(
        &self,
        config: Option<&Path>,
        out: &mut dyn Write,
        remarks: &mut dyn Write,
    ) -> Result<(), CliError> {
        let (database, warnings) = self.database(config)?;
        for Warning { key, message } in warnings {
            // A remark that cannot be written is no reason not to go on.
            let _ = writeln!(remarks, "talos: {key}: {message}");
        }
        let directory = &database.directory;
        let found = format::of(directory)?;
        let message = match &self.action {
            // With one format there is one step at most, however many are allowed.
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

    /// Where the keys are stored. What the command line or the two short variables say wins over the configuration.
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
