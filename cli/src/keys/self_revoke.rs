//! `talos keys self-revoke CREDENTIAL`.

use std::io::BufRead;

use clap::Args;
use serde_json::json;

use super::revoke::Reason;
use super::secret_argument;
use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, Table};

/// Which credential, and why.
#[derive(Debug, Args)]
pub(crate) struct SelfRevokeArguments {
    /// The credential, which is the right to revoke it; `-` reads it from standard input
    credential: String,

    /// Why it ends
    #[arg(long, value_enum)]
    reason: Option<Reason>,
}

impl SelfRevokeArguments {
    /// Asks for the end of the key.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        let credential = secret_argument(&self.credential, "credential", input)?;
        let mut body = json!({ "credential": credential.as_str() });
        if let (Some(fields), Some(reason)) = (body.as_object_mut(), self.reason) {
            fields.insert("reason".to_owned(), reason.name().into());
        }
        client.post(
            "/v2alpha1/apiKeys:selfRevoke",
            &[],
            body.to_string().as_bytes(),
        )
    }
}

/// The state that the key is in now; nothing when quiet.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    Output {
        answer,
        table: Table::of_texts(&[("status", "KEY_STATUS_REVOKED")]),
        essence: Vec::new(),
    }
}
