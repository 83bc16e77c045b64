//! TLS around the connections of replication, for whoever wants certificates beside the shared secret.
//!
//! The frames are sealed without it; TLS hides their lengths no better, but lets a network's own rules about who may talk to
//! whom hold here, too. Only TLS 1.3 is spoken.

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

/// A file that TLS cannot work with; for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read, or does not hold what it should.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A name that no certificate can be for.
    #[error("{0} is no name that a certificate can be for")]
    Name(String),
    /// What the files hold does not fit together.
    #[error("TLS for replication: {0}")]
    Setup(String),
}

/// A certificate with its chain, and the key that belongs to it, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificate, and those between it and the authority.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// TLS of a primary.
#[derive(Clone)]
pub struct PrimaryTls(TlsAcceptor);

/// TLS of a replica.
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
    /// Shows `own`. With `authorities` a replica, too, has to show a certificate, by one of them.
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
    /// Believes a primary with a certificate for `name` by one of `authorities`, and shows it `own`, if there is one.
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

/// Named here: nothing else in the process decides about it.
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
