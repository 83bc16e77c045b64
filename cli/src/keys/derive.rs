//! `talos keys derive-token CREDENTIAL`.

use std::io::BufRead;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{Lifetime, parse_object};
use crate::client::{Answer, Client};
use crate::console::secret_argument;
use crate::error::CliError;
use crate::output::{Output, Table};

/// The token to derive.
#[derive(Debug, Args)]
pub(crate) struct DeriveArguments {
    /// The credential of the key; `-` reads it from standard input
    credential: String,

    /// Format of the token
    #[arg(long, value_enum, default_value_t = Algorithm::Jwt)]
    algorithm: Algorithm,

    /// Lifetime of the token: 90s, 15m, 1h; 0 = the server's default, or the rest of the key's
    /// life if that is shorter
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    ttl: Lifetime,

    /// Custom claims
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    claims: Option<Box<RawValue>>,

    /// Scopes of the token; default: those of the key
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…")]
    scopes: Vec<String>,

    /// Audiences of the token
    #[arg(long, value_delimiter = ',', value_name = "AUDIENCE,…")]
    audiences: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Algorithm {
    /// A signed JSON Web Token; anyone can verify it with the public keys of the server
    Jwt,
    /// A macaroon; its holder can narrow it, and only the server can verify it
    Macaroon,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Jwt => "TOKEN_ALGORITHM_JWT",
            Self::Macaroon => "TOKEN_ALGORITHM_MACAROON",
        }
    }
}

#[derive(Serialize)]
struct Request<'a> {
    credential: &'a str,
    algorithm: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_claims: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    audiences: &'a [String],
}

impl DeriveArguments {
    /// Derives the token.
    pub(crate) fn run(&self, client: &Client, input: &mut dyn BufRead) -> Result<Answer, CliError> {
        let credential = secret_argument(&self.credential, "credential", input)?;
        let body = serde_json::to_vec(&Request {
            credential: &credential,
            algorithm: self.algorithm.name(),
            ttl: self.ttl.text(),
            custom_claims: self.claims.as_deref(),
            scopes: &self.scopes,
            audiences: &self.audiences,
        })
        .map_err(|error| CliError::Usage(error.to_string()))?;
        client.post("/v2alpha1/admin/apiKeys:derive", &[], &body)
    }
}

/// The token and its fields, without the claims, which repeat them. The essence is the token.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    let mut derived = answer.json.get("token").cloned().unwrap_or_default();
    let token = derived.get("token").and_then(Value::as_str);
    let essence = token.map(ToOwned::to_owned).into_iter().collect();
    if let Some(fields) = derived.as_object_mut() {
        fields.remove("claims");
    }
    Output {
        answer,
        table: Table::of_object(&derived),
        essence,
    }
}
