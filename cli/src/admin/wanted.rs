//! The token that a command line names.

use clap::Args;
use serde_json::Value;
use talos_model::KeyId;

use super::resource::{PATH, tokens_of};
use crate::client::Client;
use crate::error::CliError;

/// A token, by its id or its name.
#[derive(Debug, Args)]
pub(super) struct WantedToken {
    /// Id or name of the token
    #[arg(value_name = "ID|NAME")]
    token: String,
}

impl WantedToken {
    /// Its id. Asks the server for the id of a name. No name has the form of an id, so a text never
    /// means two tokens.
    pub(super) fn id(&self, client: &Client) -> Result<String, CliError> {
        // Ids of admin tokens and of issued keys have the same form.
        if let Ok(KeyId::Issued(id)) = self.token.to_ascii_lowercase().parse() {
            return Ok(id.to_string());
        }
        let answer = client.get(PATH)?;
        let text = |token: &Value, name: &str| Some(token.get(name)?.as_str()?.to_owned());
        let mut tokens = tokens_of(&answer).iter();
        let found = tokens.find(|token| text(token, "name").as_ref() == Some(&self.token));
        let id = found.and_then(|token| text(token, "id"));
        id.ok_or_else(|| CliError::NoSuchToken(self.token.clone()))
    }
}
