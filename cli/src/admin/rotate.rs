//! `talos admin token rotate ID|NAME`.

use clap::Args;
use serde_json::json;

use super::create::parse_duration;
use super::resource::path_of;
use super::wanted::WantedToken;
use crate::client::{Answer, Client};
use crate::error::CliError;

/// The token to rotate.
#[derive(Debug, Args)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    token: WantedToken,

    /// New lifetime of the token, from now on; default: its time of expiry stays
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<String>,
}

impl RotateArguments {
    /// Replaces the text of the token.
    pub(super) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let path = format!("{}:rotate", path_of(&self.token.id(client)?));
        let body = match &self.ttl {
            Some(ttl) => json!({ "ttl": ttl }),
            None => json!({}),
        };
        client.post(&path, &[], body.to_string().as_bytes())
    }
}
