//! A certificate authority for tests, and its certificates as PEM files. They are made at run time,
//! so that no private key is in the repository.
//!
//! The unit tests of `tls/` include this file by its path, because that crate builds without what
//! the rest of the kit needs. So nothing else of the kit is used here.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, IsCa, KeyPair,
};
use tempfile::TempDir;

/// An authority with a directory for its files.
pub struct Authority {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Issued {
    /// The certificate as DER.
    pub der: Vec<u8>,
    /// The certificate as PEM.
    pub pem: String,
    /// The key as PEM.
    pub key_pem: String,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new authority.
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("authority.pem"), issuer.pem()).unwrap();
        Self { directory, issuer }
    }

    /// The path of a file in the authority's directory.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file of the authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("authority.pem")
    }

    /// A certificate for `localhost` and 127.0.0.1, as `change` makes it.
    pub fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// Files with a certificate for `localhost` and 127.0.0.1. `name` is a part of their names.
    pub fn certified(&self, name: &str) -> Files {
        self.write(name, &self.issue(|_| {}))
    }

    /// Files with a certificate whose subject has this common name.
    pub fn certified_as(&self, common_name: &str) -> Files {
        let change = |params: &mut CertificateParams| {
            let kind = rcgen::DnType::CommonName;
            params.distinguished_name.push(kind, common_name);
        };
        self.write(common_name, &self.issue(change))
    }

    /// Writes a certificate and its key, which only the owner may read.
    pub fn write(&self, name: &str, issued: &Issued) -> Files {
        let files = Files {
            certificate: self.path(format!("{name}.pem")),
            key: self.path(format!("{name}.key")),
        };
        fs::write(&files.certificate, &issued.pem).unwrap();
        fs::write(&files.key, &issued.key_pem).unwrap();
        fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
        files
    }
}
