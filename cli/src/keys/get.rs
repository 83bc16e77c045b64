//! `talos keys issued get ID`.

use clap::Args;
use serde_json::Value;

use crate::client::{Answer, Client, path_segment};
use crate::error::CliError;
use crate::output::{Output, rows};

/// Which key.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The key's id
    key_id: String,
}

impl GetArguments {
    /// Asks for the key.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        client.get(&format!(
            "/v2alpha1/admin/issuedApiKeys/{}",
            path_segment(&self.key_id)
        ))
    }
}

/// The key's fields; its id when quiet.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    let essence = answer
        .json
        .get("key_id")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned);
    Output {
        answer,
        rows: rows(&answer.json),
        essence,
    }
}
