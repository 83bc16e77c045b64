//! `talos token …`: inspects a credential without a server. Nothing is sent anywhere.

mod inspect;
mod report;
mod validity;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use talos_model::clock::UnixMillis;
use talos_model::limits::CREDENTIAL_BYTES;

use crate::console::{Console, secret_argument};
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Presentation};

pub(crate) use self::validity::instant;

/// `talos token`.
#[derive(Debug, Args)]
pub(crate) struct TokenCommand {
    /// Format of the result; jsonpath takes $.a[*].b (RFC 9535) or a.0.b, jsonpointer /a/0/b (RFC
    /// 6901)
    #[arg(long, global = true, value_name = FORMATS, default_value = "table")]
    format: Format,

    /// Write only the id of the key
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the kind and the content of a credential, offline; proves nothing. Exits with 1 if
    /// every server would refuse it as malformed
    Inspect(InspectArguments),
}

/// Which credential to inspect.
#[derive(Debug, Args)]
struct InspectArguments {
    /// The credential, of any kind; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    credential: String,
}

impl TokenCommand {
    /// Runs the command; `now` is the time that expiries are compared with.
    pub(crate) fn run(
        &self,
        console: &mut Console<'_>,
        now: UnixMillis,
    ) -> Result<ExitCode, CliError> {
        let Action::Inspect(inspect) = &self.action;
        let credential = secret_argument(&inspect.credential, "credential", console.input)?;
        if !(1..=CREDENTIAL_BYTES).contains(&credential.len()) {
            return Err(CliError::CredentialLength {
                bytes: credential.len(),
            });
        }
        let report = inspect::report(&credential, now);
        let answer = report.answer();
        let presentation = Presentation::chosen(&self.format, self.quiet);
        output::write(console.out, &report.output(&answer), presentation)?;
        Ok(if report.is_malformed() {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}
