//! Whether the configured secrets are those that the keys in the database need.
//!
//! A server without the secret that signed a key refuses the key as unknown. A wrong secret would
//! therefore start, be ready, and refuse every key. Two cases are told apart: with none of the
//! needed secrets the server does not start; without some of them it starts with a warning, because
//! an operator may have removed a secret on purpose.

use std::path::Path;

use talos_api::timestamp;
use talos_engine::{Engine, MissingSecret};
use talos_metrics::Exposition;
use talos_model::{FollowError, clock};

use crate::error::CliError;

/// What to do about secrets that the keys need and that are not configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingSecrets {
    /// Refuse to start, or warn.
    Report,
    /// Forget that they have signed keys.
    Forget,
}

/// Compares the secrets of `engine`, whose database is in `directory`, with those that its keys
/// need.
///
/// # Errors
/// [`CliError::OtherSecrets`] when the keys need secrets and none of them is configured, unless
/// they are to be forgotten.
pub(super) fn check(
    engine: &Engine,
    directory: &Path,
    missing_secrets: MissingSecrets,
) -> Result<(), CliError> {
    let needed = engine.needed_secrets(clock::now());
    let needed = needed.map_err(|error| failed(directory, &error))?;
    match missing_secrets {
        MissingSecrets::Forget => return forget(engine, directory, &needed.missing),
        MissingSecrets::Report if needed.present == 0 && !needed.missing.is_empty() => {
            return Err(CliError::OtherSecrets {
                directory: directory.to_owned(),
                missing: needed.missing.iter().map(describe).collect(),
            });
        }
        MissingSecrets::Report => {}
    }
    for missing in &needed.missing {
        tracing::warn!(
            fingerprint = %missing.fingerprint,
            needed_until = timestamp::format(missing.needed_until),
            "a secret is missing: {} while it signed keys; what it signed is refused as unknown. Add it to secrets.hmac.retired, or start once with --forget-missing-secrets to give its keys up",
            issued(missing)
        );
    }
    Ok(())
}

fn forget(engine: &Engine, directory: &Path, missing: &[MissingSecret]) -> Result<(), CliError> {
    if missing.is_empty() {
        return Ok(());
    }
    let secrets = missing.iter().map(|one| one.fingerprint).collect();
    let forgotten = engine.forget_secrets(secrets);
    forgotten.map_err(|error: FollowError| failed(directory, &error))?;
    for one in missing {
        tracing::warn!(
            fingerprint = %one.fingerprint,
            "a missing secret is forgotten, as --forget-missing-secrets demands: {} while it signed keys; what it signed is refused as unknown",
            issued(one)
        );
    }
    Ok(())
}

/// A missing secret as the error of a refused start names it.
fn describe(missing: &MissingSecret) -> String {
    format!(
        "the secret with the fingerprint {} ({} while it signed keys, the last one at about {})",
        missing.fingerprint,
        issued(missing),
        timestamp::format(missing.last)
    )
}

fn issued(missing: &MissingSecret) -> String {
    format!("{} issued", missing.keys)
}

fn failed(directory: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::BadFile {
        path: directory.display().to_string(),
        what: format!("the secrets that its keys need cannot be determined: {error}"),
    }
}

/// Writes how many secrets keys may need that are not configured.
pub(super) fn expose(page: &mut Exposition, engine: &Engine) {
    page.gauge(
        "talos_secrets_missing",
        "Secrets that have signed keys which may not have ended, and that are not configured.",
    )
    .sample(&[], engine.missing_secrets(clock::now()) as u64);
}
