//! `talos backup restore`.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use talos_api::timestamp;
use talos_engine::backup::{BackupHead, BackupReader, RestoreError, Restored, Since, restore};

use super::report::{self, bad_file, time_and_position};
use crate::console::Console;
use crate::error::CliError;
use crate::output::Table;
use crate::progress::Counter;

/// What to restore, and where to.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A new or empty directory for the database
    #[arg(long, value_name = "DIRECTORY")]
    to: PathBuf,

    /// The data directory of the old server; the changes in its log since the backup are applied,
    /// revocations too
    #[arg(long, value_name = "DIRECTORY")]
    log: Option<PathBuf>,

    /// Restore without a log: what was revoked since the backup works again
    #[arg(long, conflicts_with = "log")]
    without_log: bool,
}

impl RestoreArguments {
    /// Creates the database.
    pub(crate) fn run(&self, console: &mut Console<'_>) -> Result<(), CliError> {
        let path = self.file.display().to_string();
        let file = File::open(&self.file).map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?;
        let mut file = BufReader::new(file);
        let head = BackupReader::open(&mut file).map_err(|error| bad_file(&path, error))?;
        let head = head.head().clone();
        let since = self.since(&head)?;
        let progress = Counter::new(console, "restored");
        let restored = restore(file, &self.to, since, |keys| progress.set(keys));
        drop(progress);
        let restored = restored.map_err(|error| match error {
            RestoreError::Backup(error) => bad_file(&path, error),
            RestoreError::Log { .. } => CliError::RestoreLog {
                what: error.to_string(),
                since: time_and_position(&head),
            },
            error => CliError::Restore(error),
        })?;
        for warning in warnings(&restored, since) {
            // A warning that cannot be written does not stop the command.
            let _ = writeln!(console.remarks, "talos: WARNING: {warning}");
        }
        report::write(&table(&self.to, &restored), console)
    }

    fn since(&self, head: &BackupHead) -> Result<Since<'_>, CliError> {
        match &self.log {
            Some(log) => Ok(Since::Log(log)),
            None if self.without_log => Ok(Since::Unknown),
            None => Err(CliError::Usage(format!(
                "without the log of the old server every revocation since the backup ({}) is lost, and those keys and admin tokens work again: name its data directory with --log DIRECTORY, or say --without-log",
                time_and_position(head)
            ))),
        }
    }
}

fn warnings(restored: &Restored, since: Since<'_>) -> Vec<String> {
    let head = &restored.backup.head;
    let mut warnings = Vec::new();
    if since == Since::Unknown {
        warnings.push(format!(
            "every change since the backup ({}) is lost: keys and admin tokens that were revoked since then work again. Revoke them anew before this database is served",
            time_and_position(head)
        ));
    }
    if let Some(acknowledged) = restored.acknowledged {
        warnings.push(format!(
            "the log has lost its end: it ends with change {}, and change {acknowledged} was acknowledged. What came between is lost, revocations too",
            restored.position
        ));
    }
    warnings
}

fn table(to: &Path, restored: &Restored) -> Table {
    let head = &restored.backup.head;
    let shown = [
        ("directory", to.display().to_string()),
        ("keys_of_backup", restored.backup.counts.keys.to_string()),
        ("position_of_backup", head.position.to_string()),
        ("time_of_backup", timestamp::format(head.time)),
        ("changes_since", restored.changes.to_string()),
        ("position", restored.position.to_string()),
        ("new_epoch", restored.epoch.to_string()),
    ];
    let texts: Vec<_> = shown
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    Table::of_texts(&texts)
}
