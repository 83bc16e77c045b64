//! TLS of a listener.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use crate::certified::Certified;
use crate::error::TlsError;
use crate::identity::Validity;
use crate::limits;
use crate::pem;
use crate::protocol::{Protocol, provider};
use crate::reload::{Loaded, Reload, Reloading};

/// The files of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The listener's certificate and key.
    pub own: Certified,
    /// The authority of the clients' certificates; `None` = clients are not asked for certificates.
    pub client_authority: Option<ClientAuthority>,
}

/// The authority that issues the certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// The certificates of the authorities, in a PEM file.
    pub certificates: PathBuf,
    /// Whether clients must have one.
    pub client_certificate: ClientCertificate,
}

/// Whether a client must present a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// A client without one is refused in the handshake.
    Required,
    /// A client may have none. A certificate of an unknown authority is refused all the same.
    Optional,
}

/// TLS of a listener, following its files.
///
/// Clients may resume sessions with tickets, for which the server keeps no state. Where clients
/// have certificates every handshake is a full one: a ticket would let a client in whose
/// certificate has expired, or whose authority was removed, since the ticket was given. Early data
/// (0-RTT) is never accepted, because it can be replayed.
#[derive(Debug)]
pub struct ServerTls {
    config: Reloading<ServerConfig>,
    asks_for_certificate: bool,
}

impl ServerTls {
    /// Loads the files.
    ///
    /// # Errors
    /// [`TlsError`], for the operator.
    pub fn load(files: ServerFiles, protocol: Protocol) -> Result<Self, TlsError> {
        let mut watched = files.own.files().to_vec();
        if let Some(authority) = &files.client_authority {
            watched.push(authority.certificates.clone());
        }
        Ok(Self {
            asks_for_certificate: files.client_authority.is_some(),
            config: Reloading::new(watched, move || configure(&files, protocol))?,
        })
    }

    /// The configuration for a new connection. Takes no lock.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.config()
    }

    /// Whether clients are asked for certificates.
    #[must_use]
    pub fn asks_for_certificate(&self) -> bool {
        self.asks_for_certificate
    }

    /// The last second in which the listener's certificate may be used, since 1970.
    #[must_use]
    pub fn certificate_not_after(&self) -> Option<i64> {
        self.config.validity().map(Validity::not_after)
    }
}

impl Reload for ServerTls {
    fn reload_if_changed(&self) {
        self.config.reload_if_changed();
    }
}

fn configure(files: &ServerFiles, protocol: Protocol) -> Result<Loaded<ServerConfig>, TlsError> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(protocol.versions())
        .map_err(TlsError::setup)?;
    let builder = match &files.client_authority {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let roots = Arc::new(pem::authorities(&authority.certificates)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = match authority.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(TlsError::setup)?)
        }
    };
    let own = files.own.read()?;
    let mut config = builder
        .with_single_cert(own.chain, own.key)
        .map_err(|error| files.own.refused(error))?;
    config.alpn_protocols = protocol.alpn();
    config.max_early_data_size = 0;
    // The default storage would keep sessions behind a lock that all cores share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if files.client_authority.is_none() {
        config.ticketer = Ticketer::new().map_err(TlsError::setup)?;
        config.send_tls13_tickets = limits::TICKETS;
    }
    Ok(Loaded {
        config: Arc::new(config),
        validity: Some(own.validity),
    })
}

#[cfg(test)]
mod tests;
