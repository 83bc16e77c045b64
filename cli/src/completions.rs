//! `talos completions SHELL`: lets a shell complete commands and flags.

use std::io::Write;

use clap::Args;
use clap_complete::{Shell, generate};

use crate::error::CliError;

/// `talos completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsCommand {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionsCommand {
    /// Writes the script for the shell to `out`. `commands` is the definition of the command line.
    pub(crate) fn run(
        &self,
        mut commands: clap::Command,
        out: &mut dyn Write,
    ) -> Result<(), CliError> {
        // The generator panics when it cannot write, so it writes to memory.
        let mut script = Vec::new();
        generate(self.shell, &mut commands, "talos", &mut script);
        out.write_all(&script)
            .and_then(|()| out.flush())
            .map_err(CliError::Terminal)
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, ValueEnum as _};

    use super::*;
    use crate::arguments::Arguments;

    #[test]
    fn every_shell_gets_every_command() {
        for shell in Shell::value_variants() {
            let mut script = Vec::new();
            let command = CompletionsCommand { shell: *shell };
            command
                .run(Arguments::command(), &mut script)
                .expect("written");
            let script = String::from_utf8(script).expect("UTF-8");
            for word in [
                "batch-import",
                "completions",
                "rate-limit-quota",
                "privilege_withdrawn",
            ] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
