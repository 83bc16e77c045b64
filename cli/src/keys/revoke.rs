//! `talos keys revoke ID`, `talos keys issued revoke ID` and `talos keys imported revoke ID`.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;
use crate::output::{Output, Table};

/// Which key to revoke, and why.
#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// Id of the key
    key_id: String,

    /// Reason of the revocation
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// Description of the reason; only with `privilege_withdrawn`
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,
}

/// The reason of a revocation.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The key is known to others
    KeyCompromise,
    /// The actor's relation to the issuer has changed
    AffiliationChanged,
    /// Another key replaces it
    Superseded,
    /// The actor may no longer do what the key allows
    PrivilegeWithdrawn,
}

impl Reason {
    /// The name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KeyCompromise => "REVOCATION_REASON_KEY_COMPROMISE",
            Self::AffiliationChanged => "REVOCATION_REASON_AFFILIATION_CHANGED",
            Self::Superseded => "REVOCATION_REASON_SUPERSEDED",
            Self::PrivilegeWithdrawn => "REVOCATION_REASON_PRIVILEGE_WITHDRAWN",
        }
    }
}

impl RevokeArguments {
    /// Revokes the key.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        let mut body = json!({});
        if let Some(fields) = body.as_object_mut() {
            fields.extend(
                self.reason
                    .map(|reason| ("reason".to_owned(), reason.name().into())),
            );
            fields.extend(
                self.reason_text
                    .as_deref()
                    .map(|text| ("description".to_owned(), text.into())),
            );
        }
        let path = format!("{}/{}:revoke", kind.path(), url_encoded(&self.key_id));
        client.post(&path, &[], body.to_string().as_bytes())
    }

    /// The id and the new status. The essence is empty.
    pub(crate) fn output<'a>(&self, answer: &'a Answer) -> Output<'a> {
        let fields = [
            ("key_id", self.key_id.as_str()),
            ("status", "KEY_STATUS_REVOKED"),
        ];
        Output {
            answer,
            table: Table::of_texts(&fields),
            essence: Vec::new(),
        }
    }
}
