//! `talos keys imported import NAME`.

use std::io::BufRead;

use clap::Args;

use super::fields::Lifetime;
use super::kind::KeyKind;
use super::new_key::NewKeyArguments;
use crate::client::{Answer, Client};
use crate::console::secret_argument;
use crate::error::CliError;

/// The key to import.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    #[command(flatten)]
    key: NewKeyArguments,

    /// Lifetime of the key: 90s, 24h, 30d, 1y6mo; 0, or none = the server's default
    #[arg(long, value_name = "DURATION")]
    ttl: Option<Lifetime>,

    /// The key as its holder presents it; `-` reads it from standard input
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    raw_key: String,
}

impl ImportArguments {
    /// Imports the key.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        let raw_key = secret_argument(&self.raw_key, "raw key", input)?;
        let request = self.key.request(Some(&raw_key), self.ttl.as_ref())?;
        client.post_repeatedly(KeyKind::Imported.path(), &[], &request, self.key.repeat())
    }
}
