//! `talos backup create`.
//!
//! Guarantees:
//! - On standard output (`--output -`) the backup is checked while it passes; the exit code says
//!   whether all of it was written.
//! - The file exists only if the whole backup is in it, synced and checked. A failure leaves at
//!   most `FILE.partial`, which the next attempt replaces.
//! - Only its owner can read the file, because it contains keys, actors and metadata. What lies at
//!   `FILE.partial` is never written to: it may be a link, or readable by others (`partial.rs`).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use talos_engine::backup::{BackupError, BackupReader, Checked};

use super::{partial, report};
use crate::client::Client;
use crate::console::Console;
use crate::error::CliError;
use crate::progress::Counter;

const PATH: &str = "/v2alpha1/admin/backup";
/// The longest that the server may send nothing.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Where to write the backup.
#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    /// The new file; `-` is standard output, with the report on standard error
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Replace the file of --output if it exists, once the new backup is complete
    #[arg(short, long)]
    force: bool,
}

impl CreateArguments {
    /// Requests the backup and writes the file.
    pub(crate) fn run(&self, client: &Client, console: &mut Console<'_>) -> Result<(), CliError> {
        let failed = |path: &Path, source| CliError::File {
            path: path.display().to_string(),
            source,
        };
        if self.output == Path::new("-") {
            return to_standard_output(client, console);
        }
        self.check_place()
            .map_err(|source| failed(&self.output, source))?;
        let mut name = OsString::from(&self.output);
        name.push(".partial");
        let partial = PathBuf::from(name);
        let mut file = partial::create(&partial).map_err(|source| failed(&partial, source))?;
        let checked = match receive(client, &mut file, console) {
            Ok(checked) => checked,
            Err(stopped) => {
                // If the partial file cannot be removed, the next attempt replaces it.
                let _ = fs::remove_file(&partial);
                return Err(match stopped {
                    Stopped::Server(error) => error,
                    Stopped::File(source) => failed(&partial, source),
                });
            }
        };
        let kept = file
            .sync_all()
            .and_then(|()| partial::check_is_at(&file, &partial))
            .and_then(|()| fs::rename(&partial, &self.output))
            .and_then(|()| sync_directory(&self.output));
        kept.map_err(|source| failed(&self.output, source))?;
        let table = report::table(&self.output.display().to_string(), &checked);
        report::write(&table, console)
    }
}

impl CreateArguments {
    /// Checks that the backup may be written to its file.
    fn check_place(&self) -> io::Result<()> {
        // A link counts as the file, even if it leads nowhere.
        let message = match self.output.symlink_metadata() {
            Err(_) => return Ok(()),
            Ok(existing) if !existing.is_file() => {
                "this is not a regular file, and --force replaces only those; name another one"
            }
            Ok(_) if self.force => return Ok(()),
            Ok(_) => "the file exists; name another one, or replace it with --force",
        };
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    }
}

/// Writes the backup to standard output, and what it contains to standard error.
fn to_standard_output(client: &Client, console: &mut Console<'_>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        let message = "a backup is not for a terminal; send standard output to a file or a program";
        return Err(CliError::Usage(message.to_owned()));
    }
    let checked = receive(client, &mut out, console).and_then(|checked| {
        out.flush().map_err(Stopped::File)?;
        Ok(checked)
    });
    let checked = checked.map_err(|stopped| match stopped {
        Stopped::Server(error) => error,
        Stopped::File(error) if error.kind() == io::ErrorKind::BrokenPipe => CliError::ReaderGone,
        Stopped::File(error) => CliError::Terminal(error),
    })?;
    let table = report::table("-", &checked);
    // The backup is complete, even if the report cannot be written.
    let _ = table.write(console.remarks);
    Ok(())
}

/// Why the backup was not received.
enum Stopped {
    Server(CliError),
    File(io::Error),
}

fn receive(
    client: &Client,
    file: &mut dyn Write,
    console: &Console<'_>,
) -> Result<Checked, Stopped> {
    let stream = client
        .stream(PATH, &[], SILENCE_MAX)
        .map_err(Stopped::Server)?;
    let mut tee = Tee {
        stream,
        file,
        failed: None,
    };
    let checked = check(&mut tee, console);
    checked.map_err(|error| match (tee.failed, error) {
        (Some(failed), _) => Stopped::File(failed),
        (None, BackupError::Io(error)) => Stopped::Server(CliError::Transport {
            endpoint: client.endpoint().to_owned(),
            message: format!("the backup was interrupted: {error}"),
        }),
        (None, error) => Stopped::Server(CliError::Transport {
            endpoint: client.endpoint().to_owned(),
            message: error.to_string(),
        }),
    })
}

/// Reads the whole stream as a backup, and checks it.
fn check(stream: &mut impl Read, console: &Console<'_>) -> Result<Checked, BackupError> {
    let mut reader = BackupReader::open(stream)?;
    let progress = Counter::new(console, "received");
    while reader.next_rows()?.is_some() {
        progress.set(reader.counts().keys);
    }
    Ok(reader.checked())
}

/// A reader that also writes everything it reads to a file.
struct Tee<'f, R> {
    stream: R,
    file: &'f mut dyn Write,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        self.file.write_all(read).map_err(|error| {
            let again = io::Error::from(error.kind());
            self.failed = Some(error);
            again
        })?;
        Ok(count)
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}
