//! `talos fleet …`: a node among others, seen and moved by an operator.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::client::{Answer, Client};
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};

const PATH: &str = "/v2alpha1/admin/replication";

/// `talos fleet`.
#[derive(Debug, Args)]
pub(crate) struct FleetCommand {
    /// How the result is written
    #[arg(long, global = true, value_name = FORMATS, default_value = "table")]
    format: Format,

    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Show what the server at the endpoint is, how far it has come, and the same of each of its replicas
    Status,
    /// Show a summary of everything that the server at the endpoint holds: servers that hold the same show the same
    State,
    /// Make the replica at the endpoint the primary: a new epoch begins, and the old primary is refused when it returns
    Promote,
    /// Print the changes that only the server at the endpoint holds, because it was a primary that was replaced
    Diverged {
        /// The most changes to print, the oldest first; up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
    },
    /// Set the server at the endpoint back to what its primary holds; what it holds now is kept beside its data
    Rejoin,
}

impl FleetCommand {
    /// Runs the command.
    pub(crate) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let answer = match self.action {
            Action::Status => client.get(PATH),
            Action::State => client.get(&format!("{PATH}:state")),
            Action::Promote => client.post(&format!("{PATH}:promote"), &[], b""),
            Action::Diverged { limit } => client.get(&format!("{PATH}:diverged?limit={limit}")),
            Action::Rejoin => client.post(&format!("{PATH}:rejoin"), &[], b""),
        }?;
        let table = match self.action {
            Action::Status | Action::Promote => status(&answer),
            Action::Diverged { .. } => diverged(&answer),
            Action::State | Action::Rejoin => vec![Table::of_object(&answer.json)],
        };
        let (last, before) = table
            .split_last()
            .ok_or_else(|| client.unexpected_answer("an empty answer".to_owned()))?;
        if matches!(self.format, Format::Table) {
            for table in before {
                table.write(console.out).map_err(CliError::Terminal)?;
                writeln!(console.out).map_err(CliError::Terminal)?;
            }
        }
        let output = Output {
            answer: &answer,
            table: last.clone(),
            essence: Vec::new(),
        };
        output::write(console.out, &output, Presentation::Whole(&self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The node, and its replicas if it has any.
fn status(answer: &Answer) -> Vec<Table> {
    let mut node = answer.json.clone();
    let replicas = node
        .as_object_mut()
        .and_then(|node| node.remove("replicas"));
    let mut tables = vec![Table::of_object(&node)];
    if let Some(Value::Array(replicas)) = replicas
        && !replicas.is_empty()
    {
        let columns = [
            "node_id",
            "address",
            "state",
            "position",
            "lag_changes",
            "lag_ms",
        ];
        tables.push(Table::of_array(&replicas, &columns));
    }
    tables
}

/// Where the histories part, and the changes after that.
fn diverged(answer: &Answer) -> Vec<Table> {
    let mut whole = answer.json.clone();
    let changes = whole.as_object_mut().and_then(|all| all.remove("changes"));
    let mut tables = vec![Table::of_object(&whole)];
    if let Some(Value::Array(changes)) = changes {
        let columns = ["position", "time", "event", "key_id", "actor_id"];
        tables.push(Table::of_array(&changes, &columns));
    }
    tables
}
