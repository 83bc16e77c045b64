//! `talos keys self-revoke CREDENTIAL`.

use std::io::BufRead;

use clap::Args;
use serde_json::json;

use super::revoke::{Reason, with};
use crate::client::{Answer, Client};
use crate::console::secret_argument;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;

/// Which key to revoke, and why.
#[derive(Debug, Args)]
pub(crate) struct SelfRevokeArguments {
    /// The credential of the key; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    credential: String,

    /// Reason of the revocation
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// Refused with every reason: servers store the description of an administrator only (`keys
    /// revoke`)
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,
}

impl SelfRevokeArguments {
    /// Revokes the key.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        self.refuse_text()?;
        let credential = secret_argument(&self.credential, "credential", input)?;
        let mut body = json!({ "credential": credential.as_str() });
        if let Some(fields) = body.as_object_mut() {
            let reason = self.reason.map(Reason::name);
            fields.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
        }
        client.post_repeatedly(
            "/v2alpha1/apiKeys:selfRevoke",
            &[],
            body.to_string().as_bytes(),
            Repeat::Always,
        )
    }

    fn refuse_text(&self) -> Result<(), CliError> {
        if self.reason_text.as_deref().is_none_or(str::is_empty) {
            return Ok(());
        }
        Err(CliError::Usage(format!(
            "--reason-text: servers store no text when a holder revokes a key, also not {}; \
             an administrator's `talos keys revoke` takes it with --reason privilege_withdrawn",
            with(self.reason)
        )))
    }
}

/// The new status. The essence is empty.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    Output {
        answer,
        table: Table::of_texts(&[("status", "KEY_STATUS_REVOKED")]),
        essence: Vec::new(),
    }
}
