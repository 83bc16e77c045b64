//! `talos keys issued list` and `talos keys imported list`.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;
use crate::output::{Output, Table};

const COLUMNS: [&str; 6] = [
    "key_id",
    "name",
    "actor_id",
    "status",
    "create_time",
    "expire_time",
];

/// Which keys to list.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only keys of this actor
    #[arg(long)]
    actor: Option<String>,

    /// Only keys with this status
    #[arg(long, value_enum)]
    status: Option<Status>,

    /// The most keys on a page, 1 to 1000; the server uses 50 by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    page_size: Option<u16>,

    /// The `next_page_token` of the previous page; it may begin with a dash
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    page_token: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Status {
    /// Usable
    #[value(alias = "KEY_STATUS_ACTIVE")]
    Active,
    /// Revoked
    #[value(alias = "KEY_STATUS_REVOKED")]
    Revoked,
    /// Expired
    #[value(alias = "KEY_STATUS_EXPIRED")]
    Expired,
}

impl ListArguments {
    /// Requests one page.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        let parameters = [
            ("page_size", self.page_size.map(|size| size.to_string())),
            ("page_token", self.page_token.clone()),
            ("filter", self.filter()),
        ];
        let query: Vec<_> = parameters
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", url_encoded(&value?))))
            .collect();
        let separator = if query.is_empty() { "" } else { "?" };
        client.get(&format!("{}{separator}{}", kind.path(), query.join("&")))
    }

    /// The conditions in the filter language of the API (AIP-160).
    fn filter(&self) -> Option<String> {
        let actor = self.actor.as_deref().map(|actor| {
            let escaped = actor.replace('\\', r"\\").replace('"', "\\\"");
            format!("actor_id=\"{escaped}\"")
        });
        let status = self.status.map(|status| {
            let name = match status {
                Status::Active => "KEY_STATUS_ACTIVE",
                Status::Revoked => "KEY_STATUS_REVOKED",
                Status::Expired => "KEY_STATUS_EXPIRED",
            };
            format!("status={name}")
        });
        let conditions: Vec<String> = actor.into_iter().chain(status).collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

/// One key a line. The essence is the ids.
pub(crate) fn output(answer: &Answer) -> Output<'_> {
    let keys = ["issued_api_keys", "imported_api_keys"]
        .into_iter()
        .find_map(|name| answer.json.get(name)?.as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    let ids = keys.iter().filter_map(|key| key.get("key_id")?.as_str());
    Output {
        answer,
        table: Table::of_array(keys, &COLUMNS),
        essence: ids.map(ToOwned::to_owned).collect(),
    }
}

/// The token of the next page; `None` after the last page.
pub(crate) fn next_page(answer: &Answer) -> Option<&str> {
    let token = answer.json.get("next_page_token").and_then(Value::as_str);
    token.filter(|token| !token.is_empty())
}
