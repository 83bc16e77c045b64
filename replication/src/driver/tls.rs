//! Optional TLS around the connections of replication.
//!
//! The frames are sealed without TLS. TLS adds certificates, for networks whose policy requires
//! them; it does not hide the lengths of frames. Only TLS 1.3 is supported.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// TLS cannot be set up; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has the wrong content.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Not a valid server name.
    #[error("{0} is no name that a certificate can be for")]
    Name(String),
    /// The files do not fit together.
    #[error("TLS for replication: {0}")]
    Setup(String),
}

/// A certificate chain and its private key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificate and its intermediates.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// TLS settings of a primary.
#[derive(Clone)]
pub struct PrimaryTls(TlsAcceptor);

/// TLS settings of a replica.
#[derive(Clone)]
pub struct ReplicaTls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl fmt::Debug for PrimaryTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrimaryTls(…)")
    }
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
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(setup)?;
        let builder = match authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let roots = Arc::new(roots(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().map_err(setup)?)
            }
        };
        let (certificates, key) = read(own)?;
        let config = builder
            .with_single_cert(certificates, key)
            .map_err(|error| bad(&own.certificates, &error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<server::TlsStream<TcpStream>> {
        self.0.accept(stream).await
    }
}

impl ReplicaTls {
    /// Loads a replica's settings. The primary must present a certificate for `name` issued by one
    /// of `authorities`. The replica presents `own`, if given.
    ///
    /// # Errors
    /// [`TlsError`], for the operator.
    pub fn load(authorities: &Path, name: &str, own: Option<&Certified>) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(setup)?
            .with_root_certificates(roots(authorities)?);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let (certificates, key) = read(own)?;
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|error| bad(&own.certificates, &error))?
            }
        };
        let name =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name,
        })
    }

    pub(super) async fn connect(
        &self,
        stream: TcpStream,
    ) -> io::Result<client::TlsStream<TcpStream>> {
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// The crypto provider is explicit: the process-wide default is not used.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn setup(error: impl fmt::Display) -> TlsError {
    TlsError::Setup(error.to_string())
}

fn bad(path: &Path, problem: &impl ToString) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| bad(path, &error))?;
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| bad(path, &error))?;
    if found.is_empty() {
        return Err(bad(path, &"no certificate in it"));
    }
    Ok(found)
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(path, &error))?;
    }
    Ok(roots)
}

fn read(
    own: &Certified,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| bad(&own.key, &error))?;
    Ok((certificates(&own.certificates)?, key))
}
