//! `talos admin token revoke ID|NAME`.

use clap::Args;

use super::resource::path_of;
use super::wanted::WantedToken;
use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, Table};

/// The token to revoke.
#[derive(Debug, Args)]
pub(super) struct RevokeArguments {
    #[command(flatten)]
    token: WantedToken,
}

/// A token that is refused from now on.
pub(super) struct Revoked {
    id: String,
    answer: Answer,
}

impl RevokeArguments {
    /// Revokes the token.
    pub(super) fn run(&self, client: &Client) -> Result<Revoked, CliError> {
        let id = self.token.id(client)?;
        let answer = client.delete(&path_of(&id))?;
        Ok(Revoked { id, answer })
    }
}

impl Revoked {
    /// The id of the token. The essence is empty.
    pub(super) fn output(&self) -> Output<'_> {
        let fields = [("id", self.id.as_str()), ("revoked", "true")];
        Output {
            answer: &self.answer,
            table: Table::of_texts(&fields),
            essence: Vec::new(),
        }
    }
}
