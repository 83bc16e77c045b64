//! `talos keys revoke ID` and `talos keys issued revoke ID`.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::client::{Answer, Client, path_segment};
use crate::error::CliError;
use crate::output::Output;

/// Which key, and why.
#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// The key's id
    key_id: String,

    /// Why it ends
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// In which words; only with `privilege_withdrawn`
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,
}

/// Which keys the id may name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyKind {
    /// Any.
    Any,
    /// Only issued ones.
    Issued,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Reason {
    /// The key is in the wrong hands
    KeyCompromise,
    /// The actor's relation to the issuer changed
    AffiliationChanged,
    /// Another key took its place
    Superseded,
    /// The actor may no longer do what the key allowed
    PrivilegeWithdrawn,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::KeyCompromise => "REVOCATION_REASON_KEY_COMPROMISE",
            Self::AffiliationChanged => "REVOCATION_REASON_AFFILIATION_CHANGED",
            Self::Superseded => "REVOCATION_REASON_SUPERSEDED",
            Self::PrivilegeWithdrawn => "REVOCATION_REASON_PRIVILEGE_WITHDRAWN",
        }
    }
}

impl RevokeArguments {
    /// Asks for the end of the key.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        let collection = match kind {
            KeyKind::Any => "apiKeys",
            KeyKind::Issued => "issuedApiKeys",
        };
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
        let path = format!(
            "/v2alpha1/admin/{collection}/{}:revoke",
            path_segment(&self.key_id)
        );
        client.post(&path, &[], body.to_string().as_bytes())
    }

    /// The id and the state it is in now; nothing when quiet.
    pub(crate) fn output<'a>(&self, answer: &'a Answer) -> Output<'a> {
        let rows = [
            ("key_id", self.key_id.as_str()),
            ("status", "KEY_STATUS_REVOKED"),
        ];
        let rows = rows
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Output {
            answer,
            rows,
            essence: None,
        }
    }
}
