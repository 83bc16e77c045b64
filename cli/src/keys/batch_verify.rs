//! `talos keys batch-verify CREDENTIAL…`.

use clap::Args;
use serde_json::{Value, json};

use super::verify::query;
use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;

const COLUMNS: [&str; 5] = ["is_valid", "key_id", "actor_id", "scopes", "error_code"];

/// Which credentials to verify, and how.
#[derive(Debug, Args)]
pub(crate) struct BatchVerifyArguments {
    /// The credentials, at most 100
    #[arg(required = true, num_args = 1..=100)]
    credentials: Vec<String>,

    /// Read the keys from storage, not from a cache
    #[arg(long)]
    no_cache: bool,

    /// Do not count it as a use of the keys: their rate limits and their times of last use stay as
    /// they are; for administrators
    #[arg(long)]
    observe: bool,

    /// Exit with 1 unless every credential is valid
    #[arg(long)]
    fail_on_invalid: bool,
}

impl BatchVerifyArguments {
    /// Whether the command succeeds with this answer.
    pub(crate) fn succeeds_with(&self, answer: &Answer) -> bool {
        !self.fail_on_invalid || all_are_valid(answer)
    }

    /// Verifies the credentials.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let requests: Vec<_> = self
            .credentials
            .iter()
            .map(|credential| json!({ "credential": credential }))
            .collect();
        let headers: &[_] = if self.no_cache {
            &[("Cache-Control", "no-cache")]
        } else {
            &[]
        };
        let body = json!({ "requests": requests }).to_string();
        client.post_repeatedly(
            &format!("/v2alpha1/admin/apiKeys:batchVerify{}", query(self.observe)),
            headers,
            body.as_bytes(),
            Repeat::UnlessLimited,
        )
    }
}

fn all_are_valid(answer: &Answer) -> bool {
    let is_valid = |result: &Value| result.get("is_valid") == Some(&Value::Bool(true));
    !results(answer).is_empty() && results(answer).iter().all(is_valid)
}

/// One verdict a line, in the order of the credentials.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    Output {
        answer,
        table: Table::of_array(results(answer), &COLUMNS),
        essence: Vec::new(),
    }
}

fn results(answer: &Answer) -> &[Value] {
    let results = answer.json.get("results").and_then(Value::as_array);
    results.map(Vec::as_slice).unwrap_or_default()
}
