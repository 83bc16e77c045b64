//! Optional TLS around the connections of replication.
//!
//! The frames are sealed without TLS. TLS adds certificates, for networks whose policy requires
//! them; it does not hide the lengths of frames. Only TLS 1.3 is supported. Files that change are
//! in use for the next connection.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
pub use talos_tls::{Certified, TlsError};
use talos_tls::{
    ClientAuthority, ClientCertificate, ClientFiles, ClientTls, Protocol, Reload, ServerFiles,
    ServerTls,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// TLS settings of a primary.
#[derive(Clone, Debug)]
pub struct PrimaryTls(Arc<ServerTls>);

/// TLS settings of a replica.
#[derive(Clone)]
pub struct ReplicaTls {
    tls: Arc<ClientTls>,
    name: ServerName<'static>,
}

impl fmt::Debug for ReplicaTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplicaTls({:?})", self.name)
    }
}

impl PrimaryTls {
    /// Loads a primary's certificate `own`. With `authorities`, replicas must present a certificate
    /// issued by one of them.
    ///
    /// # Errors
    /// [`TlsError`], for the operator.
    pub fn load(own: &Certified, authorities: Option<&Path>) -> Result<Self, TlsError> {
        let files = ServerFiles {
            own: own.clone(),
            client_authority: authorities.map(|path| ClientAuthority {
                certificates: path.to_owned(),
                client_certificate: ClientCertificate::Required,
            }),
        };
        let tls = ServerTls::load(files, Protocol::Replication)?;
        Ok(Self(Arc::new(tls)))
    }

    /// What looks for changes of the files.
    #[must_use]
    pub fn files(&self) -> Arc<dyn Reload> {
        Arc::<ServerTls>::clone(&self.0)
    }

    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<server::TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.config()).accept(stream).await
    }
}

impl ReplicaTls {
    /// Loads a replica's settings. The primary must present a certificate for `name` issued by one
    /// of `authorities`. The replica presents `own`, if given.
    ///
    /// # Errors
    /// [`TlsError`], for the operator.
    pub fn load(authorities: &Path, name: &str, own: Option<&Certified>) -> Result<Self, TlsError> {
        let files = ClientFiles {
            authorities: Some(authorities.to_owned()),
            own: own.cloned(),
        };
        Ok(Self {
            tls: Arc::new(ClientTls::load(files, Protocol::Replication)?),
            name: talos_tls::server_name(name)?,
        })
    }

    /// What looks for changes of the files.
    #[must_use]
    pub fn files(&self) -> Arc<dyn Reload> {
        Arc::<ClientTls>::clone(&self.tls)
    }

    pub(super) async fn connect(
        &self,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.tls.config());
        connector.connect(self.name.clone(), stream).await
    }
}
