//! `talos config validate`: whether `talos serve` would start with a configuration.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use talos_config::{Effective, Settings, Warning};

use super::source;
use crate::console::Console;
use crate::environment::variables;
use crate::error::CliError;
use crate::serve::start_files;

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// The configuration file; - for standard input; default: --config, or the environment alone
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ValidateArguments {
    /// Checks the file and the environment, and the files of certificates that they name.
    pub(super) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let path = self.file.as_deref().or(config);
        let file = path.map(|path| source::read(path, console)).transpose()?;
        let (settings, mut warnings) = Settings::load_file(file.as_ref(), variables(), &[])?;
        let effective = Effective::load(file.as_ref(), variables())?;
        let faults = start_files::faults(&settings);
        for fault in &faults {
            // The exit code says it, too.
            let _ = writeln!(console.remarks, "{}", fault.report());
        }
        if !faults.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
        let mut tenants = settings.tenants.iter();
        if tenants.any(|tenant| tenant.credentials.key_sets.has_remote()) {
            warnings.push(Warning {
                key: "credentials.derived_tokens.jwt.signing_keys.urls",
                message: "https:// URLs are fetched at the start, and were not fetched now"
                    .to_owned(),
            });
        }
        source::write_warnings(&warnings, &effective, console.remarks);
        writeln!(console.out, "valid")
            .and_then(|()| console.out.flush())
            .map_err(CliError::Terminal)?;
        Ok(ExitCode::SUCCESS)
    }
}
