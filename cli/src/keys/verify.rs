//! `talos keys verify CREDENTIAL`.

use std::io::BufRead;

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::console::secret_argument;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;

/// Which credential to verify, and how.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The credential; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    credential: String,

    /// Read the key from storage, not from a cache
    #[arg(long)]
    no_cache: bool,

    /// Do not count it as a use of the key: its rate limit and its time of last use stay as they
    /// are; for administrators
    #[arg(long)]
    observe: bool,
}

impl VerifyArguments {
    /// Verifies the credential.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        let credential = secret_argument(&self.credential, "credential", input)?;
        let body = json!({ "credential": credential.as_str() }).to_string();
        let headers: &[_] = if self.no_cache {
            &[("Cache-Control", "no-cache")]
        } else {
            &[]
        };
        client.post_repeatedly(
            &format!("/v2alpha1/admin/apiKeys:verify{}", query(self.observe)),
            headers,
            body.as_bytes(),
            Repeat::UnlessLimited,
        )
    }
}

/// The query of a verification that is an observation, or of one that is not.
pub(super) fn query(observes: bool) -> &'static str {
    if observes { "?observe=true" } else { "" }
}

/// Whether the credential is valid.
pub(crate) fn is_valid(answer: &Answer) -> bool {
    answer.json.get("is_valid") == Some(&Value::Bool(true))
}

/// The verdict. The essence is empty, because the exit code says it.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    Output {
        answer,
        table: Table::of_object(&answer.json),
        essence: Vec::new(),
    }
}
