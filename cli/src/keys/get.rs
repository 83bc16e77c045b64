//! `talos keys issued get ID` and `talos keys imported get ID`.

use clap::Args;
use serde_json::Value;

use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;
use crate::output::{Output, Table};

/// Which key to show.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// Id of the key
    key_id: String,
}

impl GetArguments {
    /// Requests the key.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        client.get(&format!("{}/{}", kind.path(), url_encoded(&self.key_id)))
    }
}

/// The fields of a key. The essence is its id. The answer to an import contains the key twice; it
/// is shown once.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    let key = answer.json.get("imported_api_key").unwrap_or(&answer.json);
    Output {
        answer,
        table: Table::of_object(key),
        essence: key
            .get("key_id")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .into_iter()
            .collect(),
    }
}
