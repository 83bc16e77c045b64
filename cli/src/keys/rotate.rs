//! `talos keys issued rotate ID`.

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::parse_object;
use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;

/// Which key to rotate, and the fields that differ in its successor.
#[derive(Debug, Args)]
pub(crate) struct RotateArguments {
    /// Id of the key
    key_id: String,

    /// New name
    #[arg(long)]
    name: Option<String>,

    /// New scopes
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…")]
    scopes: Vec<String>,

    /// New metadata
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
}

impl RotateArguments {
    /// Issues the successor. The old key is revoked at once.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let request = Request {
            name: self.name.as_deref(),
            scopes: &self.scopes,
            metadata: self.metadata.as_deref(),
        };
        let body =
            serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?;
        let path = format!(
            "{}/{}:rotate",
            KeyKind::Issued.path(),
            url_encoded(&self.key_id)
        );
        client.post(&path, &[], &body)
    }
}
