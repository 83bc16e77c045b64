//! `talos keys revoke ID`, `talos keys issued revoke ID` and `talos keys imported revoke ID`.

use clap::{Args, ValueEnum};
use serde_json::json;
use talos_api::limits::REVOCATION_DESCRIPTION_CHARS;

use super::kind::KeyKind;
use crate::client::{Answer, Client, url_encoded};
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;

/// Which key to revoke, and why.
#[derive(Debug, Args)]
pub(crate) struct RevokeArguments {
    /// Id of the key
    key_id: String,

    /// Reason of the revocation
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// Description of the reason; only with the reason `privilege_withdrawn`, the one that servers
    /// store it with
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

/// The description that a server stores with `reason`; `None` if there is none.
///
/// # Errors
/// [`CliError::Usage`] when no server stores this text with this reason, so that nothing is sent.
pub(crate) fn stored_text(
    reason: Option<Reason>,
    text: Option<&str>,
) -> Result<Option<&str>, CliError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if !matches!(reason, Some(Reason::PrivilegeWithdrawn)) {
        return Err(CliError::Usage(format!(
            "--reason-text goes only with --reason privilege_withdrawn; servers store no text {}",
            with(reason)
        )));
    }
    if text.chars().count() > REVOCATION_DESCRIPTION_CHARS {
        return Err(CliError::Usage(format!(
            "--reason-text has more than the {REVOCATION_DESCRIPTION_CHARS} characters that \
             servers store with --reason privilege_withdrawn"
        )));
    }
    Ok(Some(text))
}

/// Says which reason is given, for the end of a sentence.
pub(crate) fn with(reason: Option<Reason>) -> String {
    let name = reason.and_then(|reason| reason.to_possible_value());
    match name {
        Some(name) => format!("with --reason {}", name.get_name()),
        None => "without a reason".to_owned(),
    }
}

impl RevokeArguments {
    /// Revokes the key.
    pub(crate) fn run(&self, client: &Client, kind: KeyKind) -> Result<Answer, CliError> {
        let text = stored_text(self.reason, self.reason_text.as_deref())?;
        let mut body = json!({});
        if let Some(fields) = body.as_object_mut() {
            fields.extend(
                self.reason
                    .map(|reason| ("reason".to_owned(), reason.name().into())),
            );
            fields.extend(text.map(|text| ("description".to_owned(), text.into())));
        }
        let path = format!("{}/{}:revoke", kind.path(), url_encoded(&self.key_id));
        // A key that is revoked already stays revoked.
        client.post_repeatedly(&path, &[], body.to_string().as_bytes(), Repeat::Always)
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
