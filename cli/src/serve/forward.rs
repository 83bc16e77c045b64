//! How the settings say that a replica passes requests on to its primary.

use std::sync::Arc;

use talos_admin::{ForwardSettings, PlainHttp};
use talos_config::Replication;
use talos_tls::{Certified, ClientFiles, ClientTls, Protocol, TlsError};

use super::tls::Watched;
use crate::error::CliError;

/// Reads the files of `replication.forward`, and adds them to `watched`, if there are any.
///
/// # Errors
/// [`CliError::Fleet`] when they cannot be used.
pub(super) fn settings(
    replication: &Replication,
    watched: &mut Watched,
) -> Result<ForwardSettings, CliError> {
    let unusable = |error: TlsError| CliError::Fleet(format!("replication.forward: {error}"));
    let forward = &replication.forward;
    let own = forward.own().map(|(certificates, key)| Certified {
        certificates: certificates.to_owned(),
        key: key.to_owned(),
    });
    let has_files = own.is_some() || forward.ca.is_some();
    let files = ClientFiles {
        authorities: forward.ca.clone(),
        own,
    };
    let tls = Arc::new(ClientTls::load(files, Protocol::Http).map_err(unusable)?);
    if has_files {
        watched.push(Arc::<ClientTls>::clone(&tls));
    }
    Ok(ForwardSettings {
        tls,
        plain_http: if forward.allow_plain {
            PlainHttp::Everything
        } else {
            PlainHttp::SecretsOnLoopback
        },
    })
}
