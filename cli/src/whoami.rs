//! `talos whoami`: shows who the server takes its client for.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::Client;
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};

/// `talos whoami`.
#[derive(Debug, Args)]
pub(crate) struct WhoAmICommand {
    /// Format of the result
    #[arg(long, value_name = FORMATS, default_value = "table")]
    format: Format,

    /// Write only the name; nothing if the server asks for none
    #[arg(short, long)]
    quiet: bool,
}

impl WhoAmICommand {
    /// Asks the server.
    pub(crate) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let answer = client.get("/v2alpha1/admin/whoami")?;
        let name = answer.json.get("name").and_then(Value::as_str);
        let output = Output {
            answer: &answer,
            table: Table::of_object(&answer.json),
            essence: name.map(ToOwned::to_owned).into_iter().collect(),
        };
        let presentation = Presentation::chosen(&self.format, self.quiet);
        output::write(console.out, &output, presentation)?;
        Ok(ExitCode::SUCCESS)
    }
}
