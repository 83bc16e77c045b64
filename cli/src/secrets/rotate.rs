//! `talos secrets rotate hmac`: a new HMAC secret, and the old one as retired.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use talos_config::{ConfigFile, rotate_hmac};
use talos_model::{Secret, clock, duration};
use zeroize::Zeroizing;

use super::edited_file::EditedFile;
use crate::console::Console;
use crate::environment::variables;
use crate::error::CliError;

/// How to rotate.
#[derive(Debug, Args)]
pub(crate) struct RotateHmacArguments {
    /// How long the old secret verifies keys, such as 720h; default: until it is removed
    #[arg(long, value_name = "DURATION", value_parser = parse_life)]
    expires_in: Option<Duration>,

    /// Check that the file can be changed, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl RotateHmacArguments {
    /// Rotates the secret in the file `config`, and says what happens next. No secret is written
    /// to the console.
    ///
    /// # Errors
    /// When there is no file, or it cannot be edited; then it is unchanged.
    pub(super) fn run(
        &self,
        config: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<ExitCode, CliError> {
        let Some(path) = config else {
            let message = "name the file that has the secret, with --config FILE".to_owned();
            return Err(CliError::Usage(message));
        };
        let failed = |source| CliError::File {
            path: path.display().to_string(),
            source,
        };
        let edited = EditedFile::open(path).map_err(failed)?;
        let file = ConfigFile::read(path)?;
        let expires_at = self
            .expires_in
            .map(|life| clock::now().plus_seconds(life.as_secs()));
        let environment: Vec<_> = variables().collect();
        let new = new_secret().map_err(|error| failed(std::io::Error::other(error)))?;
        let after = rotate_hmac(&file, &new, expires_at, &environment).map_err(|error| {
            CliError::BadFile {
                path: path.display().to_string(),
                what: error.to_string(),
            }
        })?;
        if !self.dry_run {
            edited
                .replace(file.text().expose(), after.text().expose())
                .map_err(failed)?;
        }
        writeln!(console.out, "{}", self.report(path))
            .and_then(|()| console.out.flush())
            .map_err(CliError::Terminal)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(&self, path: &Path) -> String {
        let path = path.display();
        if self.dry_run {
            return format!("{path} can be changed. Nothing was written.");
        }
        let end = match self.expires_in {
            Some(life) => format!(
                "for {}, and are refused afterwards",
                duration::format_protobuf(life)
            ),
            None => "as long as it is in secrets.hmac.retired; remove it there when its keys are rotated or older than credentials.api_keys.max_ttl".to_owned(),
        };
        format!(
            "{path} has a new secret.\nA running server uses it within two seconds, or at once after `talos config reload` or SIGHUP.\nKeys that the old secret has signed stay valid {end}."
        )
    }
}

/// Parses how long the old secret verifies keys.
fn parse_life(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

/// 256 random bits as hexadecimal digits.
fn new_secret() -> Result<Secret, getrandom::Error> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice())?;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes.iter() {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(Secret::new(text))
}
