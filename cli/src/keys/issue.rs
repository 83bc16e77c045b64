//! `talos keys issue NAME`.

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use talos_engine::cidr::Cidr;
use talos_engine::duration::{self, InvalidDuration};

use crate::client::{Answer, Client};
use crate::error::CliError;
use crate::output::{Output, rows};

/// What the key is to be.
#[derive(Debug, Args)]
pub(crate) struct IssueArguments {
    /// A label for people
    name: String,

    /// Whose key it is
    #[arg(long)]
    actor: String,

    /// What the key may do
    #[arg(long, value_delimiter = ',', value_name = "SCOPE,…")]
    scopes: Vec<String>,

    /// How long it lives: 90s, 24h, 30d, 1y6mo
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    ttl: Option<String>,

    /// Anything you want to find in the answer of a verification
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Box<RawValue>>,

    /// From where the key may be used
    #[arg(long, value_delimiter = ',', value_name = "CIDR,…", value_parser = parse_cidr)]
    allowed_cidrs: Vec<String>,

    /// How often the key may be verified within the window
    #[arg(long, value_name = "N", requires = "rate_limit_window", value_parser = clap::value_parser!(u64).range(1..))]
    rate_limit_quota: Option<u64>,

    /// The window of the quota, in whole seconds: 60s, 1h
    #[arg(long, value_name = "DURATION", requires = "rate_limit_quota", value_parser = parse_duration)]
    rate_limit_window: Option<String>,

    /// Whether clients may see the key; public keys carry a prefix of their own
    #[arg(long, value_enum)]
    visibility: Option<Visibility>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Visibility {
    /// For servers only
    Secret,
    /// Safe in browsers and apps
    Public,
}

#[derive(Serialize)]
struct Request<'a> {
    name: &'a str,
    actor_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    scopes: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_restriction: Option<IpRestriction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<RateLimitPolicy<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visibility: Option<&'static str>,
}

#[derive(Serialize)]
struct IpRestriction<'a> {
    allowed_cidrs: &'a [String],
}

#[derive(Serialize)]
struct RateLimitPolicy<'a> {
    /// A string, as 64-bit integers are in the JSON of protocol buffers.
    quota: String,
    window: &'a str,
    unit: &'static str,
}

impl IssueArguments {
    /// Asks for the key.
    pub(crate) fn run(&self, client: &Client) -> Result<Answer, CliError> {
        let request = Request {
            name: &self.name,
            actor_id: &self.actor,
            scopes: &self.scopes,
            ttl: self.ttl.as_deref(),
            metadata: self.metadata.as_deref(),
            ip_restriction: (!self.allowed_cidrs.is_empty()).then_some(IpRestriction {
                allowed_cidrs: &self.allowed_cidrs,
            }),
            rate_limit_policy: self
                .rate_limit_quota
                .zip(self.rate_limit_window.as_deref())
                .map(|(quota, window)| RateLimitPolicy {
                    quota: quota.to_string(),
                    window,
                    unit: "requests",
                }),
            visibility: self.visibility.map(|visibility| match visibility {
                Visibility::Secret => "KEY_VISIBILITY_SECRET",
                Visibility::Public => "KEY_VISIBILITY_PUBLIC",
            }),
        };
        let body =
            serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?;
        client.post("/v2alpha1/admin/issuedApiKeys", &[], &body)
    }
}

/// The key's fields with the secret among them; the secret alone when quiet.
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
        rows: rows(&key),
        essence: secret.and_then(Value::as_str).map(ToOwned::to_owned),
    }
}

fn parse_duration(text: &str) -> Result<String, InvalidDuration> {
    duration::parse(text).map(|_| text.to_owned())
}

fn parse_cidr(text: &str) -> Result<String, String> {
    text.parse::<Cidr>()
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// The text stays as it is: numbers keep their spelling on the way to the server.
fn parse_object(text: &str) -> Result<Box<RawValue>, String> {
    let json: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    if json.get().trim_start().starts_with('{') {
        Ok(json)
    } else {
        Err("not a JSON object".to_owned())
    }
}
