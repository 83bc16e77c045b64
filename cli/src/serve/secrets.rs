//! Whether the configured secrets are those that the keys in the database need.
//!
//! A server without the secret that signed a key refuses the key as unknown. A wrong secret would
//! therefore start, be ready, and refuse every key. Two cases are told apart: with none of the
//! needed secrets the server does not start; without some of them it starts with a warning, because
//! an operator may have removed a secret on purpose.

use std::path::Path;
use std::sync::Arc;

use talos_api::timestamp;
use talos_credentials::Tenant;
use talos_engine::{Engine, MissingSecret, NeededSecrets};
use talos_metrics::Exposition;
use talos_model::{TenantId, clock};

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
/// [`CliError::OtherSecrets`] when the keys of a tenant need secrets and it has none of them,
/// unless they are to be forgotten.
pub(super) fn check(
    engine: &Engine,
    directory: &Path,
    missing_secrets: MissingSecrets,
) -> Result<(), CliError> {
    let needed = engine.needed_secrets(&engine.tenants(), clock::now());
    let needed = needed.map_err(|error| failed(directory, &error))?;
    if missing_secrets == MissingSecrets::Forget {
        return forget(engine, directory, &needed);
    }
    let missing = without_any(&needed);
    if !missing.is_empty() {
        return Err(CliError::OtherSecrets {
            directory: directory.to_owned(),
            missing,
        });
    }
    warn(&needed);
    Ok(())
}

/// Compares the secrets of `tenants`, which are to be used from now on, with those that their keys
/// need.
///
/// # Errors
/// What is wrong: the keys of a tenant need secrets, and it would have none of them any more.
pub(super) fn check_change(engine: &Engine, tenants: &[Arc<Tenant>]) -> Result<(), String> {
    let needed = engine.needed_secrets(tenants, clock::now());
    let needed = needed.map_err(|error| error.to_string())?;
    let missing = without_any(&needed);
    if !missing.is_empty() {
        return Err(format!(
            "secrets.hmac: the keys need {}, and no such secret is configured; keep it in secrets.hmac.retired, or start again with --forget-missing-secrets",
            missing.join(", and ")
        ));
    }
    warn(&needed);
    Ok(())
}

/// The missing secrets of tenants that have none of those that their keys need.
fn without_any(needed: &[NeededSecrets]) -> Vec<String> {
    let bereft = needed.iter().filter(|needed| needed.present == 0);
    each(bereft)
        .map(|(tenant, missing)| {
            format!(
                "the secret with the fingerprint {}{tenant} ({} issued while it signed keys, the last one at about {})",
                missing.fingerprint,
                missing.keys,
                timestamp::format(missing.last)
            )
        })
        .collect()
}

/// Each missing secret, with words that name its tenant if there may be several.
fn each<'a>(
    needed: impl Iterator<Item = &'a NeededSecrets>,
) -> impl Iterator<Item = (String, &'a MissingSecret)> {
    needed.flat_map(|needed| {
        let tenant = match needed.tenant {
            TenantId::SINGLE => String::new(),
            TenantId(id) => format!(" of tenant {id}"),
        };
        let missing = needed.missing.iter();
        missing.map(move |missing| (tenant.clone(), missing))
    })
}

fn warn(needed: &[NeededSecrets]) {
    for (tenant, missing) in each(needed.iter()) {
        tracing::warn!(
            fingerprint = %missing.fingerprint,
            needed_until = timestamp::format(missing.needed_until),
            "a secret{tenant} is missing: {} issued while it signed keys; what it signed is refused as unknown. Add it to secrets.hmac.retired, or start once with --forget-missing-secrets to give its keys up",
            missing.keys
        );
    }
}

fn forget(engine: &Engine, directory: &Path, needed: &[NeededSecrets]) -> Result<(), CliError> {
    let secrets: Vec<_> = needed
        .iter()
        .flat_map(|needed| {
            let missing = needed.missing.iter();
            missing.map(|missing| (needed.tenant, missing.fingerprint))
        })
        .collect();
    if secrets.is_empty() {
        return Ok(());
    }
    let forgotten = engine.forget_secrets(secrets);
    forgotten.map_err(|error| failed(directory, &error))?;
    for (tenant, missing) in each(needed.iter()) {
        tracing::warn!(
            fingerprint = %missing.fingerprint,
            "a missing secret{tenant} is forgotten, as --forget-missing-secrets demands: {} issued while it signed keys; what it signed is refused as unknown",
            missing.keys
        );
    }
    Ok(())
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
