//! `talos keys imported delete ID`.

use clap::Args;

use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;
use crate::output::{Output, Table};

/// Which key to delete.
#[derive(Debug, Args)]
pub(crate) struct DeleteArguments {
    /// Id of the key
    key_id: String,
}

impl DeleteArguments {
    /// Deletes the key and everything that is stored about it.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let path = KeyKind::Imported.path();
        client.delete(&format!("{path}/{}", url_encoded(&self.key_id)))
    }

    /// The id of the deleted key. The essence is empty.
    pub(crate) fn output<'a>(&self, answer: &'a Answer) -> Output<'a> {
        let fields = [("deleted", self.key_id.as_str())];
        Output {
            answer,
            table: Table::of_texts(&fields),
            essence: Vec::new(),
        }
    }
}
