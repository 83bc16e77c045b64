//! `talos keys issue NAME`.

use clap::Args;
use serde_json::Value;

use super::fields::Lifetime;
use super::kind::KeyKind;
use super::new_key::NewKeyArguments;
use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, Table};

/// The key to issue.
#[derive(Debug, Args)]
pub(crate) struct IssueArguments {
    #[command(flatten)]
    key: NewKeyArguments,

    /// Lifetime of the key: 90s, 24h, 30d, 1y6mo; 0 = the server's default
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    ttl: Lifetime,
}

impl IssueArguments {
    /// Issues the key.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let request = self.key.request(None, Some(&self.ttl))?;
        client.post_repeatedly(KeyKind::Issued.path(), &[], &request, self.key.repeat())
    }
}

/// The fields of the key, with the secret. The essence is the secret.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    let secret = answer.json.get("secret");
    let mut key = answer
        .json
        .get("issued_api_key")
        .cloned()
        .unwrap_or_default();
    if let (Some(fields), Some(secret)) = (key.as_object_mut(), secret) {
        fields.insert("secret".to_owned(), secret.clone());
    }
    Output {
        answer,
        table: Table::of_object(&key),
        essence: secret
            .and_then(Value::as_str)
            .map(ToOwned::to_owned)
            .into_iter()
            .collect(),
    }
}
