//! A certificate and its private key.

use std::path::PathBuf;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{Error, InconsistentKeys};

use crate::error::TlsError;
use crate::identity::Validity;
use crate::pem;

/// A certificate chain and its private key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// The certificate, and after it its intermediates.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What [`Certified`] names, read from the files.
pub(crate) struct ChainAndKey {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// When the first certificate of the chain may be used.
    pub validity: Validity,
}

impl Certified {
    /// Reads both files. Warns if others may read the key, or the certificate is not valid now.
    pub(crate) fn read(&self) -> Result<ChainAndKey, TlsError> {
        let key = pem::private_key(&self.key)?;
        let chain = pem::certificates(&self.certificates)?;
        let validity = chain
            .first()
            .ok_or_else(|| TlsError::file(&self.certificates, "no certificate in it"))
            .and_then(|own| {
                Validity::of(own).map_err(|error| TlsError::file(&self.certificates, error))
            })?;
        if let Some(problem) = validity.problem_now() {
            tracing::warn!(
                file = %self.certificates.display(),
                "the certificate {problem}, so clients will not accept it; renew it"
            );
        }
        Ok(ChainAndKey {
            chain,
            key,
            validity,
        })
    }

    /// The error for files that rustls does not take, naming the one that is wrong.
    pub(crate) fn refused(&self, error: Error) -> TlsError {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::file(
                &self.key,
                format!(
                    "this private key does not belong to the first certificate in {}",
                    self.certificates.display()
                ),
            ),
            // What is said of keys without a certificate is about the key's file.
            Error::General(problem) => TlsError::file(&self.key, problem),
            other => TlsError::file(&self.certificates, other),
        }
    }

    /// The files that are read.
    pub(crate) fn files(&self) -> [PathBuf; 2] {
        [self.certificates.clone(), self.key.clone()]
    }
}
