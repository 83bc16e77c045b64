//! `talos config reload`: has the server at the endpoint load its configuration again.

use std::process::ExitCode;

use clap::Args;

use crate::client::Client;
use crate::console::Console;
use crate::error::CliError;
use crate::output::{self, FORMATS, Format, Output, Presentation, Table};

const PATH: &str = "/v2alpha1/admin/config:reload";

/// The arguments of `talos config reload`.
#[derive(Debug, Args)]
pub(crate) struct ReloadArguments {
    /// Format of the result
    #[arg(long, value_name = FORMATS, default_value = "table")]
    format: Format,
}

impl ReloadArguments {
    /// Runs the command.
    pub(super) fn run(
        &self,
        client: &Client,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let answer = client.post(PATH, &[], b"")?;
        let output = Output {
            answer: &answer,
            table: Table::of_object(&answer.json),
            essence: Vec::new(),
        };
        output::write(console.out, &output, Presentation::Whole(&self.format))?;
        Ok(ExitCode::SUCCESS)
    }
}
