//! `talos keys self-revoke CREDENTIAL`.

use std::io::BufRead;

use clap::Args;
use serde_json::json;

use super::revoke::Reason;
use crate::client::{Answer, Client};
use crate::console::secret_argument;
use crate::error::CliError;
use crate::output::{Output, Table};

/// Which key to revoke, and why.
#[derive(Debug, Args)]
pub(crate) struct SelfRevokeArguments {
    /// The credential of the key; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    credential: String,

    /// Reason of the revocation
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// Description of the reason; servers accept it only from administrators
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,
}

impl SelfRevokeArguments {
    /// Revokes the key.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        let credential = secret_argument(&self.credential, "credential", input)?;
        let mut body = json!({ "credential": credential.as_str() });
        if let Some(fields) = body.as_object_mut() {
            let reason = self.reason.map(Reason::name);
            fields.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
            let text = self.reason_text.as_deref();
            fields.extend(text.map(|text| ("description".to_owned(), text.into())));
        }
        client.post(
            "/v2alpha1/apiKeys:selfRevoke",
            &[],
            body.to_string().as_bytes(),
        )
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
