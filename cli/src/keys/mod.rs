//! `talos keys …`: commands for keys; all of them send requests to a server.

mod batch_import;
mod batch_verify;
mod delete;
mod derive;
mod fields;
mod get;
mod import;
mod issue;
mod kind;
mod list;
mod new_key;
mod revoke;
mod revoke_where;
mod rotate;
mod self_revoke;
mod update;
mod verify;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::batch_import::BatchImportArguments;
use self::batch_verify::BatchVerifyArguments;
use self::delete::DeleteArguments;
use self::derive::DeriveArguments;
use self::get::GetArguments;
use self::import::ImportArguments;
use self::issue::IssueArguments;
use self::kind::KeyKind;
use self::list::ListArguments;
use self::revoke::RevokeArguments;
use self::revoke_where::RevokeWhereArguments;
use self::rotate::RotateArguments;
use self::self_revoke::SelfRevokeArguments;
use self::update::UpdateArguments;
use self::verify::VerifyArguments;
use crate::client::{Answer, Client};
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation};
use crate::printable::printable;

/// `talos keys`.
#[derive(Debug, Args)]
pub(crate) struct KeysCommand {
    /// Format of the result; jsonpath takes $.a[*].b (RFC 9535) or a.0.b, jsonpointer /a/0/b (RFC
    /// 6901)
    #[arg(long, global = true, value_name = FORMATS, default_value = "table")]
    format: Format,

    /// Write only what a script needs: the secret of a new key, a derived token, the ids of listed
    /// or imported keys; otherwise nothing
    #[arg(short, long, global = true)]
    quiet: bool,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Issue a key (short for `keys issued issue`)
    Issue(IssueArguments),
    /// Verify a credential; exits with 1 if it is not valid
    Verify(VerifyArguments),
    /// Verify many credentials at once; exits with 1 unless all of them are valid
    BatchVerify(BatchVerifyArguments),
    /// Derive a short-lived token from a key
    DeriveToken(DeriveArguments),
    /// Revoke a key of any kind by its id
    Revoke(RevokeArguments),
    /// Revoke all keys that match a condition; exits with 1 if you do not confirm
    RevokeWhere(RevokeWhereArguments),
    /// Revoke a key with its credential
    SelfRevoke(SelfRevokeArguments),
    /// Commands for keys that the server generated
    #[command(subcommand)]
    Issued(IssuedAction),
    /// Commands for keys that another system generated
    #[command(subcommand)]
    Imported(ImportedAction),
}

#[derive(Debug, Subcommand)]
enum IssuedAction {
    /// Issue a key
    Issue(IssueArguments),
    /// Show a key, never its secret
    Get(GetArguments),
    /// Show keys, one page at a time
    List(ListArguments),
    /// Change a key; its secret stays
    Update(UpdateArguments),
    /// Replace a key by one with a new id and secret; the old key is revoked at once
    Rotate(RotateArguments),
    /// Revoke an issued key by its id
    Revoke(RevokeArguments),
}

#[derive(Debug, Subcommand)]
enum ImportedAction {
    /// Import a key
    Import(ImportArguments),
    /// Import many keys; exits with 1 unless every item that was sent was imported
    BatchImport(BatchImportArguments),
    /// Show a key
    Get(GetArguments),
    /// Show keys, one page at a time
    List(ListArguments),
    /// Change a key
    Update(UpdateArguments),
    /// Delete a key and everything stored about it
    Delete(DeleteArguments),
    /// Revoke an imported key by its id
    Revoke(RevokeArguments),
}

impl KeysCommand {
    /// Runs the command. The exit code is 1 if a credential is not valid, an item was not imported
    /// or the user did not confirm; else 0.
    pub(crate) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        console.draws_progress &= !self.quiet;
        match &self.action {
            Action::Issue(issue) => self.show_secret(console, &issue.run(client)?),
            Action::Verify(verify) => {
                let answer = verify.run(client, console.input)?;
                self.write(console, &verify::output(&answer))?;
                Ok(success_if(verify::is_valid(&answer)))
            }
            Action::BatchVerify(verify) => {
                let answer = verify.run(client)?;
                self.write(console, &batch_verify::output(&answer))?;
                Ok(success_if(verify.succeeds_with(&answer)))
            }
            Action::DeriveToken(derive) => {
                let answer = derive.run(client, console.input)?;
                self.write(console, &derive::output(&answer))?;
                Ok(ExitCode::SUCCESS)
            }
            Action::Revoke(revoke) => self.revoke(client, console, revoke, KeyKind::Any),
            Action::RevokeWhere(revoke) => self.revoke_where(client, console, revoke),
            Action::SelfRevoke(revoke) => {
                let answer = revoke.run(client, console.input)?;
                self.write(console, &self_revoke::output(&answer))?;
                Ok(ExitCode::SUCCESS)
            }
            Action::Issued(action) => self.run_issued(client, console, action),
            Action::Imported(action) => self.run_imported(client, console, action),
        }
    }

    fn run_issued(
        &self,
        client: &Client,
        console: &mut Console<'_>,
        action: &IssuedAction,
    ) -> Result<ExitCode, CliError> {
        let kind = KeyKind::Issued;
        match action {
            IssuedAction::Issue(issue) => self.show_secret(console, &issue.run(client)?),
            IssuedAction::Get(get) => self.show_key(console, &get.run(client, kind)?),
            IssuedAction::List(list) => self.list(client, console, list, kind),
            IssuedAction::Update(update) => self.show_key(console, &update.run(client, kind)?),
            IssuedAction::Rotate(rotate) => self.show_secret(console, &rotate.run(client)?),
            IssuedAction::Revoke(revoke) => self.revoke(client, console, revoke, kind),
        }
    }

    fn run_imported(
        &self,
        client: &Client,
        console: &mut Console<'_>,
        action: &ImportedAction,
    ) -> Result<ExitCode, CliError> {
        let kind = KeyKind::Imported;
        match action {
            ImportedAction::Import(import) => {
                let answer = import.run(client, console.input)?;
                self.show_key(console, &answer)
            }
            ImportedAction::BatchImport(import) => {
                let imported = import.run(client, console)?;
                self.write(console, &imported.output())?;
                Ok(success_if(imported.failures == 0))
            }
            ImportedAction::Get(get) => self.show_key(console, &get.run(client, kind)?),
            ImportedAction::List(list) => self.list(client, console, list, kind),
            ImportedAction::Update(update) => self.show_key(console, &update.run(client, kind)?),
            ImportedAction::Delete(delete) => {
                let answer = delete.run(client)?;
                self.write(console, &delete.output(&answer))?;
                Ok(ExitCode::SUCCESS)
            }
            ImportedAction::Revoke(revoke) => self.revoke(client, console, revoke, kind),
        }
    }

    /// Writes a new key with its secret.
    fn show_secret(
        &self,
        console: &mut Console<'_>,
        answer: &Answer,
    ) -> Result<ExitCode, CliError> {
        self.write(console, &issue::output(answer))?;
        // A remark that cannot be written does not stop the command: the secret is written already.
        if answer.json.get("secret").is_none() {
            // Also for a script, which finds no secret.
            let _ = writeln!(
                console.remarks,
                "An earlier request with this id made the key, and its answer had the secret; if it is lost, rotate the key."
            );
        } else if !self.quiet {
            let _ = writeln!(
                console.remarks,
                "The secret is shown this once; store it now."
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show_key(&self, console: &mut Console<'_>, answer: &Answer) -> Result<ExitCode, CliError> {
        self.write(console, &get::output(answer))?;
        Ok(ExitCode::SUCCESS)
    }

    fn list(
        &self,
        client: &Client,
        console: &mut Console<'_>,
        list: &ListArguments,
        kind: KeyKind,
    ) -> Result<ExitCode, CliError> {
        let answer = list.run(client, kind)?;
        self.write(console, &list::output(&answer))?;
        if let Some(token) = list::next_page(&answer).filter(|_| !self.quiet) {
            // In JSON the token is part of the result, too.
            let token = printable(token);
            let _ = writeln!(console.remarks, "There are more keys: --page-token {token}");
        }
        Ok(ExitCode::SUCCESS)
    }

    fn revoke(
        &self,
        client: &Client,
        console: &mut Console<'_>,
        revoke: &RevokeArguments,
        kind: KeyKind,
    ) -> Result<ExitCode, CliError> {
        let answer = revoke.run(client, kind)?;
        self.write(console, &revoke.output(&answer))?;
        Ok(ExitCode::SUCCESS)
    }

    fn revoke_where(
        &self,
        client: &Client,
        console: &mut Console<'_>,
        revoke: &RevokeWhereArguments,
    ) -> Result<ExitCode, CliError> {
        let Some(answer) = revoke.run(client, console)? else {
            return Ok(ExitCode::FAILURE);
        };
        self.write(console, &RevokeWhereArguments::output(&answer))?;
        if revoke.revokes() && !self.quiet {
            // The keys are revoked, even if this line cannot be written.
            let _ = writeln!(
                console.remarks,
                "The keys are refused from now on; lists count them as revoked, and quotas soon."
            );
        }
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, console: &mut Console<'_>, result: &Output<'_>) -> Result<(), CliError> {
        let presentation = Presentation::chosen(&self.format, self.quiet);
        output::write(console.out, result, presentation)
    }
}

fn success_if(condition: bool) -> ExitCode {
    if condition {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests;
