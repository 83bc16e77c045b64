//! `talos keys issued update ID` and `talos keys imported update ID`.

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{
    IpRestriction, RateLimitPolicy, limit, parse_cidr, parse_duration, parse_object,
};
use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;

/// Which key to change, and what to change.
#[derive(Debug, Args)]
pub(crate) struct UpdateArguments {
    /// Id of the key
    key_id: String,

    /// New name
    #[arg(long)]
    name: Option<String>,

    /// New scopes; an empty value removes all
    #[arg(long, value_name = "SCOPE,…")]
    scopes: Option<String>,

    /// New metadata
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    metadata: Option<Box<RawValue>>,

    /// Addresses from which the key may be used; an empty value removes the restriction
    #[arg(long, value_name = "CIDR,…", value_parser = parse_cidrs)]
    allowed_cidrs: Option<Blocks>,

    /// How often the key may be verified within the window; 0 removes the limit
    #[arg(long, value_name = "N")]
    rate_limit_quota: Option<u64>,

    /// Window of the quota, in whole seconds: 60s, 1h
    #[arg(long, value_name = "DURATION", requires = "rate_limit_quota", value_parser = parse_duration)]
    rate_limit_window: Option<String>,

    /// The fields to change; default: those given. A field that is listed but not given is cleared
    #[arg(long, value_delimiter = ',', value_name = "FIELD,…")]
    update_mask: Vec<String>,
}

/// A list that may be empty. For its own lists, clap does not distinguish "empty" from "not given".
#[derive(Clone, Debug)]
struct Blocks(Vec<String>);

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_restriction: Option<IpRestriction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit_policy: Option<RateLimitPolicy<'a>>,
}

impl UpdateArguments {
    /// Changes the key.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        let mask = self.mask();
        if mask.is_empty() {
            return Err(CliError::Usage(
                "nothing to update: give the fields to change".to_owned(),
            ));
        }
        let request = Request {
            name: self.name.as_deref(),
            scopes: self.scopes.as_deref().map(listed),
            metadata: self.metadata.as_deref(),
            ip_restriction: self
                .allowed_cidrs
                .as_ref()
                .filter(|blocks| !blocks.0.is_empty())
                .map(|blocks| IpRestriction::new(&blocks.0)),
            rate_limit_policy: limit(self.rate_limit_quota, self.rate_limit_window.as_deref())?,
        };
        let body =
            serde_json::to_vec(&request).map_err(|error| CliError::Usage(error.to_string()))?;
        let (collection, key_id) = (kind.path(), url_encoded(&self.key_id));
        let mask = url_encoded(&mask.join(","));
        client.patch(&format!("{collection}/{key_id}?update_mask={mask}"), &body)
    }

    fn mask(&self) -> Vec<&str> {
        if !self.update_mask.is_empty() {
            return self.update_mask.iter().map(String::as_str).collect();
        }
        [
            ("name", self.name.is_some()),
            ("scopes", self.scopes.is_some()),
            ("metadata", self.metadata.is_some()),
            ("ip_restriction", self.allowed_cidrs.is_some()),
            ("rate_limit_policy", self.rate_limit_quota.is_some()),
        ]
        .into_iter()
        .filter_map(|(field, given)| given.then_some(field))
        .collect()
    }
}

fn listed(text: &str) -> Vec<&str> {
    text.split(',').filter(|entry| !entry.is_empty()).collect()
}

fn parse_cidrs(text: &str) -> Result<Blocks, String> {
    listed(text)
        .into_iter()
        .map(parse_cidr)
        .collect::<Result<_, _>>()
        .map(Blocks)
}
