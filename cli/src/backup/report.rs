//! What the commands for backups report.

use talos_api::timestamp;
use talos_engine::backup::{BackupError, BackupHead, Checked};

use crate::console::Console;
use crate::error::CliError;
use crate::output::Table;

/// The content of a complete backup, as a table.
pub(super) fn table(path: &str, checked: &Checked) -> Table {
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

/// The time and the position of a backup, for a sentence.
pub(super) fn time_and_position(head: &BackupHead) -> String {
    let time = timestamp::format(head.time);
    format!("{time}, position {}", head.position)
}

/// The error for a file that is not a backup, or that cannot be read.
pub(super) fn bad_file(path: &str, error: BackupError) -> CliError {
    let path = path.to_owned();
    match error {
        BackupError::Io(source) => CliError::File { path, source },
        error => CliError::BadFile {
            path,
            what: error.to_string(),
        },
    }
}

/// Writes the result of a command.
pub(super) fn write(table: &Table, console: &mut Console<'_>) -> Result<(), CliError> {
    let written = table.write(console.out).and_then(|()| console.out.flush());
    written.map_err(CliError::Terminal)
}
