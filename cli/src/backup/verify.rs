//! `talos backup verify`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use talos_engine::backup::BackupReader;

use super::report;
use crate::console::Console;
use crate::error::CliError;

/// Which file to verify.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl VerifyArguments {
    /// Reads the whole file. A file that is not a complete backup is an error.
    pub(crate) fn run(&self, console: &mut Console<'_>) -> Result<(), CliError> {
        let path = self.file.display().to_string();
        let file = File::open(&self.file).map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?;
        let checked = BackupReader::open(BufReader::new(file)).and_then(BackupReader::check);
        let checked = checked.map_err(|error| report::bad_file(&path, error))?;
        report::write(&report::table(&path, &checked), console)
    }
}
