//! `talos audit verify`: whether files of the audit log are whole and unaltered.

use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use talos_audit::{ChainKeys, Link, Mac, Report, Restarts, Verifier, first_number};
use talos_config::{Secrets, Warning};

use crate::console::Console;
use crate::environment::variables;
use crate::error::CliError;

/// Standard input in place of a file.
const STANDARD_INPUT: &str = "-";

/// `talos audit`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check that no entry is missing, altered, added or moved; needs no server
    Verify(VerifyArguments),
}

/// Which files to verify.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The files of one log in any order, full ones and the current one; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// Take the secrets from this configuration file of the server; default: --config and the
    /// environment
    #[arg(long, value_name = "FILE")]
    from_secret_of: Option<PathBuf>,

    /// An entry that must be there, as an earlier verification printed it: shows whether the end
    /// was cut off
    #[arg(long, value_name = "NUMBER:MAC")]
    expect_last: Option<Expected>,

    /// Accept new chains, as a log on standard output begins one at each start. The files must be
    /// in their order
    #[arg(long)]
    restarts: bool,
}

/// `NUMBER:MAC`.
#[derive(Clone, Copy, Debug)]
struct Expected(Link);

impl FromStr for Expected {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seq, mac) = text
            .split_once(':')
            .ok_or("not NUMBER:MAC, as `talos audit verify` prints it")?;
        let seq = seq.parse().map_err(|_| "the number is not a number")?;
        let mac = Mac::parse(mac).ok_or("the code is not 64 hexadecimal digits")?;
        Ok(Self(Link { seq, mac }))
    }
}

impl AuditCommand {
    /// Runs the command. Exits with 1 if anything is wrong.
    pub(crate) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let Self::Verify(verify) = self;
        verify.run(config, console)
    }
}

impl VerifyArguments {
    fn run(&self, config: Option<&Path>, console: &mut Console<'_>) -> Result<ExitCode, CliError> {
        let config = self.from_secret_of.as_deref().or(config);
        let (secrets, warnings) = Secrets::load(config, variables())?;
        for Warning { key, message } in warnings {
            // A warning that cannot be written does not stop the command.
            let _ = writeln!(console.remarks, "talos: {key}: {message}");
        }
        let keys = ChainKeys::new(&secrets.hmac_current, &secrets.all_hmac_retired());
        let (restarts, files) = if self.restarts {
            (Restarts::Allowed, self.files.clone())
        } else {
            (Restarts::Refused, in_order(&self.files)?)
        };
        let expected = self.expect_last.map(|Expected(link)| link);
        let mut verifier = Verifier::new(&keys, restarts, expected);
        for path in &files {
            let name = path.display().to_string();
            let verified = if path.as_os_str() == STANDARD_INPUT {
                verifier.file("standard input", &mut *console.input)
            } else {
                File::open(path).and_then(|file| verifier.file(&name, BufReader::new(file)))
            };
            verified.map_err(|source| CliError::File { path: name, source })?;
        }
        let report = verifier.finish();
        write(&report, console).map_err(CliError::Terminal)?;
        Ok(if report.faults.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// The files in the order of their first entries. One without entries comes last: it is either
/// empty and current, or no log.
fn in_order(files: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    if files.len() == 1 {
        return Ok(files.to_vec());
    }
    let mut numbered = Vec::with_capacity(files.len());
    for path in files {
        let first = File::open(path).and_then(|file| first_number(BufReader::new(file)));
        let first = first.map_err(|source| CliError::File {
            path: path.display().to_string(),
            source,
        })?;
        numbered.push((first.unwrap_or(u64::MAX), path.clone()));
    }
    numbered.sort_by_key(|(first, _)| *first);
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

fn write(report: &Report, console: &mut Console<'_>) -> io::Result<()> {
    let Console { out, remarks, .. } = console;
    for remark in &report.remarks {
        writeln!(remarks, "talos: {remark}")?;
    }
    for fault in &report.faults {
        writeln!(out, "{fault}")?;
    }
    if report.more_faults > 0 {
        writeln!(out, "and {} more faults", report.more_faults)?;
    }
    let faults = report.faults.len() as u64 + report.more_faults;
    let result = match faults {
        0 => "whole and unaltered".to_owned(),
        1 => "1 fault".to_owned(),
        faults => format!("{faults} faults"),
    };
    writeln!(out, "{result}")?;
    if let (Some((first, since)), Some((last, until))) = (&report.first, &report.last) {
        let nodes: Vec<&str> = report.nodes.iter().map(String::as_str).collect();
        writeln!(
            out,
            "entries: {}, from {first} ({since}) to {} ({until})",
            report.entries, last.seq
        )?;
        writeln!(out, "node: {}", nodes.join(", "))?;
        writeln!(out, "last: {}:{}", last.seq, last.mac)?;
    } else {
        writeln!(out, "entries: none")?;
    }
    out.flush()
}
