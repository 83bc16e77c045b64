//! `talos fleet …`: shows a node of a cluster, and changes its role.

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
    /// Format of the result
    #[arg(long, global = true, value_name = FORMATS, default_value = "table")]
    format: Format,

    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Action {
    /// Show the role and the position of the server at the endpoint, and of each of its replicas;
    /// exits with 1 if the server is not ready for traffic
    Status,
    /// Show a digest of all data of the server at the endpoint; servers with the same data show the
    /// same digest
    State,
    /// Make the replica at the endpoint the primary: a new epoch begins, and the old primary is
    /// refused if it returns
    Promote,
    /// Print the changes that only the server at the endpoint has, because it was a primary and was
    /// replaced
    Diverged {
        /// The most changes to print, oldest first; up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
    },
    /// Replace the data of the server at the endpoint by those of its primary; its old data is kept
    /// beside the new
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
        Ok(self.exit_code(&answer))
    }

    /// A node that does not say that it is ready is not.
    fn exit_code(&self, answer: &Answer) -> ExitCode {
        let is_ready = answer.json.get("ready") == Some(&Value::Bool(true));
        match self.action {
            Action::Status if !is_ready => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        }
    }
}

/// The tables of the node and of its replicas, if it has any.
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
            "differences",
        ];
        tables.push(Table::of_array(&replicas, &columns));
    }
    tables
}

/// The tables of the position where the epoch histories diverge, and of the changes after it.
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

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        fleet: FleetCommand,
    }

    #[test]
    fn the_status_of_a_node_that_is_not_ready_is_a_failure() {
        let code = |action: &str, json: Value| {
            let answer = Answer {
                text: json.to_string(),
                json,
            };
            let line = Line::try_parse_from(["fleet", action]).expect("valid");
            format!("{:?}", line.fleet.exit_code(&answer))
        };
        let [success, failure] = [ExitCode::SUCCESS, ExitCode::FAILURE].map(|it| format!("{it:?}"));
        assert_eq!(code("status", json!({"ready": true})), success);
        for not_ready in [
            json!({"ready": false, "reason": "it has no primary"}),
            json!({}),
            json!({"ready": "true"}),
        ] {
            assert_eq!(code("status", not_ready.clone()), failure, "{not_ready}");
            // Only the status is asked whether the node is ready.
            assert_eq!(code("promote", not_ready), success);
        }
    }
}
