//! TLS of a client.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use crate::certified::Certified;
use crate::error::TlsError;
use crate::pem;
use crate::protocol::{Protocol, provider};
use crate::reload::{Loaded, Reload, Reloading};

/// The files of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificates of the only authorities that servers are trusted from, in a PEM file.
    /// `None` = the authorities that browsers trust.
    pub authorities: Option<PathBuf>,
    /// The certificate that the client presents to servers that ask for one.
    pub own: Option<Certified>,
}

/// TLS of a client, following its files.
#[derive(Debug)]
pub struct ClientTls(Reloading<ClientConfig>);

impl ClientTls {
    /// Loads the files.
    ///
    /// # Errors
    /// [`TlsError`], for the operator.
    pub fn load(files: ClientFiles, protocol: Protocol) -> Result<Self, TlsError> {
        let own = files.own.iter().flat_map(Certified::files);
        let watched = files.authorities.iter().cloned().chain(own).collect();
        Reloading::new(watched, move || configure(&files, protocol)).map(Self)
    }

    /// The configuration for a new connection. Takes no lock.
    #[must_use]
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.config()
    }
}

impl Reload for ClientTls {
    fn reload_if_changed(&self) {
        self.0.reload_if_changed();
    }
}

/// The name that a server's certificate must be for: a host name, or an IP address without
/// brackets.
///
/// # Errors
/// [`TlsError::Name`].
pub fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))
}

fn configure(files: &ClientFiles, protocol: Protocol) -> Result<Loaded<ClientConfig>, TlsError> {
    let roots = match &files.authorities {
        Some(path) => pem::authorities(path)?,
        None => RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        },
    };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(protocol.versions())
        .map_err(TlsError::setup)?
        .with_root_certificates(roots);
    let mut validity = None;
    let mut config = match &files.own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let read = own.read()?;
            validity = Some(read.validity);
            builder
                .with_client_auth_cert(read.chain, read.key)
                .map_err(|error| own.refused(error))?
        }
    };
    config.alpn_protocols = protocol.alpn();
    Ok(Loaded {
        config: Arc::new(config),
        validity,
    })
}
