//! A certificate authority for the tests of this crate, and its certificates as files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::certified::Certified;

/// An authority with a directory for its files.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub key_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authority.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    /// The path of a file in the authority's directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file of the authority's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A certificate whose parameters `change` has made.
    pub(crate) fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Files with a certificate for `localhost`.
    pub(crate) fn certified(&self, name: &str) -> Certified {
        self.write(name, &self.issue(|_| {}))
    }

    /// Writes a certificate and its key to files that only their owner may read.
    pub(crate) fn write(&self, name: &str, issued: &Issued) -> Certified {
        use std::os::unix::fs::PermissionsExt as _;

        let certified = Certified {
            certificates: self.path(format!("{name}.pem")),
            key: self.path(format!("{name}.key")),
        };
        fs::write(&certified.certificates, &issued.pem).unwrap();
        fs::write(&certified.key, &issued.key_pem).unwrap();
        fs::set_permissions(&certified.key, fs::Permissions::from_mode(0o600)).unwrap();
        certified
    }
}
