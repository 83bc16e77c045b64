//! How the settings say that a replica passes requests on to its primary.

use std::sync::Arc;

use talos_admin::{ForwardSettings, PlainHttp};
use talos_config::Replication;
use talos_tls::{Certified, ClientFiles, ClientTls, Protocol, Reloader, TlsError};

use crate::error::CliError;

/// Reads the files of `replication.forward`, and follows them as long as the reloader lives, if
/// there are any.
///
/// # Errors
/// [`CliError::Fleet`] when they cannot be used.
pub(super) fn settings(
    replication: &Replication,
) -> Result<(ForwardSettings, Option<Reloader>), CliError> {
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
    let following = Arc::<ClientTls>::clone(&tls);
    let reloader = has_files.then(|| Reloader::start(vec![following]));
    let reloader = reloader.transpose().map_err(unusable)?;
    let settings = ForwardSettings {
        tls,
        plain_http: if forward.allow_plain {
            PlainHttp::Everything
        } else {
            PlainHttp::SecretsOnLoopback
        },
    };
    Ok((settings, reloader))
}
