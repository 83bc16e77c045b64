//! `talos admin token create NAME`.

use clap::Args;
use serde::Serialize;
use talos_model::Role;
use talos_model::duration::{self, InvalidDuration};

use super::resource::PATH;
use crate::client::{Answer, Client};
use crate::error::CliError;

/// The token to create.
#[derive(Debug, Args)]
pub(super) struct CreateArguments {
    /// Name of its holder; unique among the tokens
    name: String,

    /// What it may do: verify, read, write, operate or admin
    #[arg(long)]
    role: Role,

    /// Lifetime of the token: 24h, 90d, 1y; default: it does not expire
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<String>,

    /// Id of the only tenant that it may act on; default: every tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

/// Checks a duration. The text is sent unchanged.
pub(super) fn parse_duration(text: &str) -> Result<String, InvalidDuration> {
    duration::parse(text).map(|_| text.to_owned())
}

#[derive(Serialize)]
struct Request<'a> {
    name: &'a str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
}

impl CreateArguments {
    /// Creates the token.
    pub(super) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let request = Request {
            name: &self.name,
            role: self.role.name(),
            ttl: self.ttl.as_deref(),
            tenant: self.tenant.as_deref(),
        };
        let body =
            serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?;
        client.post(PATH, &[], &body)
    }
}
