//! `talos backup …`: a file of everything that a server holds, and the way back.

mod create;
mod restore;
mod verify;

use std::process::ExitCode;

use clap::Subcommand;
use talos_api::timestamp;
use talos_engine::backup::{BackupError, BackupHead, Checked};

use self::create::CreateArguments;
use self::restore::RestoreArguments;
use self::verify::VerifyArguments;
use crate::client::Client;
use crate::error::CliError;
use crate::keys::Console;
use crate::output::Table;

/// `talos backup`.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Copy everything that a running server holds, as it is at one moment, into a file
    Create(CreateArguments),
    /// Check that a file is a whole backup; needs no server
    Verify(VerifyArguments),
    /// Make a database of a backup and of what has happened since; needs no server
    Restore(RestoreArguments),
}

impl BackupCommand {
    /// Runs the command.
    pub(crate) fn run(
        &self,
        endpoint: &str,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        match self {
            Self::Create(create) => create.run(&Client::new(endpoint)?, console)?,
            Self::Verify(verify) => verify.run(console)?,
            Self::Restore(restore) => restore.run(console)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a whole backup holds, for people.
fn table(path: &str, checked: &Checked) -> Table {
    let head = &checked.head;
    let shown = [
        ("file", path.to_owned()),
        ("verdict", "whole".to_owned()),
        ("position", head.position.to_string()),
        ("time", timestamp::format(head.time)),
        ("keys", checked.counts.keys.to_string()),
        ("request_ids", checked.counts.requests.to_string()),
        ("bytes", checked.bytes.to_string()),
        ("release", head.release.clone()),
    ];
    let texts: Vec<_> = shown
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Table::of_texts(&texts)
}

/// Where a backup stands, in a sentence.
fn at(head: &BackupHead) -> String {
    let time = timestamp::format(head.time);
    format!("{time}, position {}", head.position)
}

fn bad(path: &str, error: BackupError) -> CliError {
    let path = path.to_owned();
    match error {
        BackupError::Io(source) => CliError::File { path, source },
        error => CliError::BadFile {
            path,
            what: error.to_string(),
        },
    }
}

fn written(table: &Table, console: &mut Console<'_>) -> Result<(), CliError> {
    let written = table.write(console.out).and_then(|()| console.out.flush());
    written.map_err(CliError::Terminal)
}

/// Says how far it has come, to somebody who watches.
fn show_progress(console: &mut Console<'_>, what: &str, keys: u64) {
    if console.is_watched {
        // A remark that cannot be written is no reason to stop.
        let _ = write!(console.remarks, "\r{what}: {keys} keys");
    }
}

/// Ends the line of [`show_progress`].
fn end_progress(console: &mut Console<'_>) {
    if console.is_watched {
        let _ = writeln!(console.remarks);
    }
}
