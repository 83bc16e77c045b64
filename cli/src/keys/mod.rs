//! `talos keys …`: commands that talk to a server.

mod get;
mod issue;
mod revoke;
mod verify;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use self::get::GetArguments;
use self::issue::IssueArguments;
use self::revoke::{KeyKind, RevokeArguments};
use self::verify::VerifyArguments;
use crate::client::Client;
use crate::error::CliError;
use crate::output::{self, Format, Output};

/// `talos keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysCommand {
    /// How the result is written
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,

    /// Write only what a script needs: the secret of a new key, the id of a found one, otherwise nothing
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Issue a key (the same as `keys issued issue`)
    Issue(IssueArguments),
    /// Verify a credential; exits with 1 when it is not valid
    Verify(VerifyArguments),
    /// Revoke a key of any kind by its id
    Revoke(RevokeArguments),
    /// Keys that the server generated
    #[command(subcommand)]
    Issued(IssuedAction),
}

#[derive(Debug, Subcommand)]
enum IssuedAction {
    /// Issue a key
    Issue(IssueArguments),
    /// Show a key, never its secret
    Get(GetArguments),
    /// Revoke an issued key by its id
    Revoke(RevokeArguments),
}

impl KeysCommand {
    /// Runs the command. The result goes to `out`, remarks to `remarks`, and a credential given as `-` comes from
    /// `input`. The code is 1 for a credential that is not valid, else 0.
    pub(crate) fn run(
        &self,
        client: &Client,
        input: &mut dyn BufRead,
        out: &mut dyn Write,
        remarks: &mut dyn Write,
    ) -> Result<ExitCode, CliError> {
        match &self.action {
            Action::Issue(issue) | Action::Issued(IssuedAction::Issue(issue)) => {
                let answer = issue.run(client)?;
                self.write(out, &issue::output(&answer))?;
                if !self.quiet && answer.json.get("secret").is_some() {
                    // A remark that cannot be written is no reason to lose the secret.
                    let _ = writeln!(remarks, "The secret is shown this once; store it now.");
                }
            }
            Action::Verify(verify) => {
                let answer = verify.run(client, input)?;
                self.write(out, &verify::output(&answer))?;
                if !verify::is_valid(&answer) {
                    return Ok(ExitCode::FAILURE);
                }
            }
            Action::Revoke(revoke) => {
                let answer = revoke.run(client, KeyKind::Any)?;
                self.write(out, &revoke.output(&answer))?;
            }
            Action::Issued(IssuedAction::Revoke(revoke)) => {
                let answer = revoke.run(client, KeyKind::Issued)?;
                self.write(out, &revoke.output(&answer))?;
            }
            Action::Issued(IssuedAction::Get(get)) => {
                let answer = get.run(client)?;
                self.write(out, &get::output(&answer))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, out: &mut dyn Write, result: &Output<'_>) -> Result<(), CliError> {
        output::write(out, result, self.format, self.quiet).map_err(CliError::Terminal)
    }
}

/// The credential itself, or the first line of `input` for `-`, so that it need not stand in the process list.
fn credential(argument: &str, input: &mut dyn BufRead) -> Result<Zeroizing<String>, CliError> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.to_owned()));
    }
    let mut line = Zeroizing::new(String::new());
    input.read_line(&mut line).map_err(CliError::Terminal)?;
    let credential = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if credential.is_empty() {
        let message = "standard input holds no credential";
        return Err(CliError::Terminal(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            message,
        )));
    }
    Ok(credential)
}

#[cfg(test)]
mod tests;
