//! `talos keys revoke-where`.

use std::io::Write as _;

use clap::Args;
use serde_json::{Map, Value};

use super::revoke::{Reason, stored_text};
use crate::client::{Answer, Client};
use crate::console::Console;
use crate::error::CliError;
use crate::output::{Output, Table};
use crate::patience::Repeat;

const PATH: &str = "/v2alpha1/admin/apiKeys:revokeWhere";

/// Which keys to revoke, and why.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("condition").required(true).multiple(true)))]
pub(crate) struct RevokeWhereArguments {
    /// Keys of this actor
    #[arg(long, group = "condition")]
    actor: Option<String>,

    /// Keys that were issued under this prefix
    #[arg(long, group = "condition")]
    prefix: Option<String>,

    /// Keys that were created before this instant, such as 2026-11-21T00:00:00Z
    #[arg(long, value_name = "TIME", group = "condition")]
    created_before: Option<String>,

    /// Keys that have this scope
    #[arg(long, group = "condition")]
    scope: Option<String>,

    /// Keys whose metadata has this member; if given several times, the keys must have all of them
    #[arg(long, value_name = "NAME=TEXT", value_parser = parse_member, group = "condition")]
    metadata: Vec<(String, String)>,

    /// Reason of the revocation
    #[arg(long, value_enum)]
    reason: Option<Reason>,

    /// Description of the reason; only with the reason `privilege_withdrawn`, the one that servers
    /// store it with
    #[arg(long, value_name = "TEXT")]
    reason_text: Option<String>,

    /// Only count the keys
    #[arg(long)]
    dry_run: bool,

    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

/// What the server is asked to do with the keys that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Count,
    Revoke,
}

fn parse_member(text: &str) -> Result<(String, String), String> {
    let member = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let member = member.map(|(name, value)| (name.to_owned(), value.to_owned()));
    member.ok_or_else(|| "not NAME=TEXT".to_owned())
}

impl RevokeWhereArguments {
    /// Revokes the keys, or only counts them. Without `--yes` it first counts them and asks for
    /// confirmation; `None` if the answer is no.
    pub(crate) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<Option<Answer>, CliError> {
        stored_text(self.reason, self.reason_text.as_deref())?;
        if self.revokes() && !self.yes {
            if !console.can_ask {
                let message = "cannot ask for confirmation without a terminal: use --yes, or --dry-run to count the keys";
                return Err(CliError::Usage(message.to_owned()));
            }
            let counted = self.send(client, Mode::Count)?;
            let matched = counted.json.get("matched").and_then(Value::as_u64);
            let matched = matched.ok_or_else(|| client.unexpected_answer("no count".to_owned()))?;
            if !is_confirmed(console, matched)? {
                return Ok(None);
            }
        }
        self.send(client, self.mode()).map(Some)
    }

    /// Whether the command revokes keys and does not only count them.
    pub(crate) fn revokes(&self) -> bool {
        self.mode() == Mode::Revoke
    }

    fn mode(&self) -> Mode {
        if self.dry_run {
            Mode::Count
        } else {
            Mode::Revoke
        }
    }

    fn send(&self, client: &Client, mode: Mode) -> Result<Answer, CliError> {
        let repeat = match mode {
            Mode::Count => Repeat::Always,
            Mode::Revoke => Repeat::Never,
        };
        client.post_repeatedly(PATH, &[], self.body(mode).to_string().as_bytes(), repeat)
    }

    fn body(&self, mode: Mode) -> Value {
        let member = |(name, value): &(String, String)| (name.clone(), Value::from(value.as_str()));
        let metadata: Map<_, _> = self.metadata.iter().map(member).collect();
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let description = self.reason_text.as_deref().filter(|text| !text.is_empty());
        let fields = [
            ("actor_id", text(&self.actor)),
            ("prefix", text(&self.prefix)),
            ("created_before", text(&self.created_before)),
            ("scope", text(&self.scope)),
            (
                "metadata",
                (!metadata.is_empty()).then_some(Value::Object(metadata)),
            ),
            ("reason", self.reason.map(|reason| reason.name().into())),
            ("description", description.map(Value::from)),
            (
                "dry_run",
                (mode == Mode::Count).then_some(Value::Bool(true)),
            ),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect())
    }

    /// The number of keys, and the bulk revocation. The essence is the number.
    pub(crate) fn output(answer: &Answer) -> Output<'_> {
        let shown = |name: &str| match answer.json.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(value) => Some(value.to_string()),
            None => None,
        };
        let names = ["matched", "dry_run", "rule_id", "position"];
        let fields: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((name, shown(name)?)))
            .collect();
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Output {
            answer,
            table: Table::of_texts(&fields),
            essence: shown("matched").into_iter().collect(),
        }
    }
}

fn is_confirmed(console: &mut Console<'_>, matched: u64) -> Result<bool, CliError> {
    let remarks = &mut console.remarks;
    write!(
        remarks,
        "{matched} keys match and would be revoked for good. Type yes to revoke them: "
    )
    .and_then(|()| remarks.flush())
    .map_err(CliError::Terminal)?;
    let mut line = String::new();
    console
        .input
        .read_line(&mut line)
        .map_err(CliError::Terminal)?;
    let is_meant = line.trim() == "yes";
    if !is_meant {
        // It does not matter if this line cannot be written.
        let _ = writeln!(console.remarks, "Nothing was revoked.");
    }
    Ok(is_meant)
}
