//! The files that `talos serve` reads at its start because the settings name them.

use talos_config::Settings;
use talos_tls::ClientFiles;

use super::fleet::Plan;
use super::{forward, tls};
use crate::client_tls;
use crate::error::CliError;

/// Everything that is wrong with the files. Nothing is written, and no connection is made.
pub(crate) fn faults(settings: &Settings) -> Vec<CliError> {
    let serve = &settings.serve;
    let listeners = [
        ("serve.http.tls", &serve.http.tls),
        ("serve.public.tls", &serve.public.tls),
        ("serve.metrics.tls", &serve.metrics_tls),
    ];
    let mut watched = Vec::new();
    let listeners: Vec<Result<(), CliError>> = listeners
        .into_iter()
        .map(|(section, files)| tls::load(section, files, &mut watched).map(drop))
        .collect();
    let others = [
        forward::settings(&settings.replication, &mut watched).map(drop),
        Plan::of(settings).map(drop),
        key_set_authorities(settings),
    ];
    let all = listeners.into_iter().chain(others);
    all.filter_map(Result::err).collect()
}

/// Reads the certificate authorities of the servers that sets of signing keys are fetched from.
fn key_set_authorities(settings: &Settings) -> Result<(), CliError> {
    let files = ClientFiles {
        authorities: settings.credentials.key_sets_ca.clone(),
        ..ClientFiles::default()
    };
    client_tls::config(&files).map(drop)?;
    Ok(())
}
