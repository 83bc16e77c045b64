//! `talos config diff`: what another file would change.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use talos_config::{Change, Difference, Effective, MASK, Overridden, Reload, flow};

use super::source;
use crate::client::Answer;
use crate::console::Console;
use crate::environment::variables;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};
use crate::printable::printable;

/// The exit code when the files cannot be compared.
const TROUBLE: u8 = 2;
/// What is shown of the values of secrets.
const DIFFERS: &str = "differs";

/// What to compare with.
#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The file that would take the place of --config; - for standard input. Environment variables
    /// override both
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Format of the result
    #[arg(long, value_name = FORMATS, default_value = "table")]
    format: Format,
}

impl DiffArguments {
    /// Shows the differences. Exits with 0 if there is none, with 1 if there are some, and with 2
    /// if either side is not valid.
    pub(super) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        match self.compare(config, console) {
            Ok(differences) => {
                self.write(&differences, console)?;
                write_summary(&differences, console.remarks);
                Ok(if differences.is_empty() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            Err(CliError::ReaderGone) => Err(CliError::ReaderGone),
            Err(error) => {
                // If standard error is closed, the message is lost.
                let _ = writeln!(console.remarks, "{}", error.report());
                Ok(ExitCode::from(TROUBLE))
            }
        }
    }

    fn compare(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<Vec<Difference>, CliError> {
        if config.is_some_and(source::is_standard_input) && source::is_standard_input(&self.file) {
            let message = "only one of the two files can be standard input".to_owned();
            return Err(CliError::Usage(message));
        }
        let old = config.map(|path| source::read(path, console)).transpose()?;
        let old = Effective::load(old.as_ref(), variables())?;
        let new = source::read(&self.file, console)?;
        let new = Effective::load(Some(&new), variables())?;
        for Overridden { key, place, by } in new.overridden() {
            let line = format!("{place}: {key}: without effect, because {by} overrides it");
            // The result is the same if the remark cannot be written.
            let _ = writeln!(console.remarks, "talos: {}", printable(&line));
        }
        Ok(old.differences(&new))
    }

    fn write(&self, differences: &[Difference], console: &mut Console<'_>) -> Result<(), CliError> {
        let rows: Vec<Value> = differences.iter().map(row).collect();
        if rows.is_empty() && self.format == Format::Table {
            return Ok(());
        }
        let json = json!({"differences": differences.iter().map(entry).collect::<Vec<_>>()});
        let output = Output {
            answer: &Answer {
                text: json.to_string(),
                json,
            },
            table: Table::of_array(&rows, &["change", "key", "old", "new", "reload"]),
            essence: Vec::new(),
        };
        output::write(console.out, &output, Presentation::Whole(&self.format))
    }
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Removed => "removed",
        Change::Changed => "changed",
    }
}

/// Whether a part of the values is hidden, so that they may look alike.
fn is_secret(difference: &Difference) -> bool {
    let mut values = [&difference.old, &difference.new].into_iter();
    values.any(|value| value.to_string().contains(MASK))
}

fn row(difference: &Difference) -> Value {
    let (old, new) = if is_secret(difference) {
        (String::new(), DIFFERS.to_owned())
    } else {
        (flow(&difference.old), flow(&difference.new))
    };
    json!({
        "change": change(difference.change),
        "key": difference.key.path,
        "old": old,
        "new": new,
        "reload": difference.key.reload.to_string(),
    })
}

fn entry(difference: &Difference) -> Value {
    let Difference { key, old, new, .. } = difference;
    let (change, reload) = (change(difference.change), key.reload.to_string());
    if is_secret(difference) {
        return json!({"key": key.path, "change": change, "reload": reload, "secret": true});
    }
    json!({"key": key.path, "change": change, "reload": reload, "old": old, "new": new})
}

/// Says which differences need a restart.
fn write_summary(differences: &[Difference], remarks: &mut dyn Write) {
    let restart = differences
        .iter()
        .filter(|difference| difference.key.reload == Reload::Restart);
    let restart: Vec<&str> = restart.map(|difference| difference.key.path).collect();
    if restart.is_empty() {
        return;
    }
    // The result is the same if the remark cannot be written.
    let _ = writeln!(remarks, "talos: needs a restart: {}", restart.join(", "));
}
