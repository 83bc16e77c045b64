//! `talos admin …`: the access of administrators.

mod bootstrap;
mod create;
mod resource;
mod revoke;
mod rotate;
mod wanted;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::bootstrap::BootstrapArguments;
use self::create::CreateArguments;
use self::resource::{PATH, tokens_of};
use self::revoke::RevokeArguments;
use self::rotate::RotateArguments;
use crate::client::Answer;
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};
use crate::server_arguments::ServerArguments;

const COLUMNS: [&str; 6] = ["id", "name", "role", "tenant", "create_time", "expire_time"];

/// `talos admin`.
#[derive(Debug, Args)]
pub(crate) struct AdminCommand {
    #[command(subcommand)]
    subject: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Create, list, rotate and revoke admin tokens
    Token(TokenCommand),
}

/// `talos admin token`.
#[derive(Debug, Args)]
struct TokenCommand {
    /// Format of the result; jsonpath takes $.a[*].b (RFC 9535) or a.0.b, jsonpointer /a/0/b (RFC
    /// 6901)
    #[arg(long, global = true, value_name = FORMATS, default_value = "table")]
    format: Format,

    /// Write only what a script needs: the text of a new or rotated token, the ids of listed ones
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a token and show its text, only this once
    Create(CreateArguments),
    /// Show all tokens, never their texts
    List,
    /// Replace the text of a token; the former text is refused at once
    Rotate(RotateArguments),
    /// Revoke a token; it is refused at once
    Revoke(RevokeArguments),
    /// Create a token in the database of the configuration, on its host; no server may be running
    Bootstrap(BootstrapArguments),
}

impl AdminCommand {
    /// Runs the command. `config` is the configuration of the server, for the command that needs
    /// none running.
    pub(crate) fn run(
        &self,
        server: &ServerArguments,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let Subject::Token(token) = &self.subject;
        token.run(server, config, console)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl TokenCommand {
    fn run(
        &self,
        server: &ServerArguments,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<(), CliError> {
        match &self.action {
            Action::Create(create) => self.show_secret(&create.run(&server.client()?)?, console),
            Action::List => self.write(&list(&server.client()?.get(PATH)?), console),
            Action::Rotate(rotate) => self.show_secret(&rotate.run(&server.client()?)?, console),
            Action::Revoke(revoke) => {
                let revoked = revoke.run(&server.client()?)?;
                self.write(&revoked.output(), console)
            }
            Action::Bootstrap(bootstrap) => {
                let answer = bootstrap.run(config, console)?;
                self.show_secret(&answer, console)
            }
        }
    }

    /// Writes a token with its text.
    fn show_secret(&self, answer: &Answer, console: &mut Console<'_>) -> Result<(), CliError> {
        self.write(&with_secret(answer), console)?;
        if !self.quiet {
            // A remark that cannot be written does not stop the command: the text is written
            // already.
            let remark = "The secret is shown this once; store it now.";
            let _ = writeln!(console.remarks, "{remark}");
        }
        Ok(())
    }

    fn write(&self, result: &Output<'_>, console: &mut Console<'_>) -> Result<(), CliError> {
        let presentation = Presentation::chosen(&self.format, self.quiet);
        output::write(console.out, result, presentation)
    }
}

/// The fields of the token, with its text. The essence is the text.
fn with_secret(answer: &Answer) -> Output<'_> {
    let secret = answer.json.get("secret");
    let mut token = answer.json.get("token").cloned().unwrap_or_default();
    if let (Some(fields), Some(secret)) = (token.as_object_mut(), secret) {
        fields.insert("secret".to_owned(), secret.clone());
    }
    let text = secret.and_then(Value::as_str).map(ToOwned::to_owned);
    Output {
        answer,
        table: Table::of_object(&token),
        essence: text.into_iter().collect(),
    }
}

/// One line for each token. The essence is their ids.
fn list(answer: &Answer) -> Output<'_> {
    let tokens = tokens_of(answer);
    let id = |token: &Value| Some(token.get("id")?.as_str()?.to_owned());
    Output {
        answer,
        table: Table::of_array(tokens, &COLUMNS),
        essence: tokens.iter().filter_map(id).collect(),
    }
}

#[cfg(test)]
mod tests;
