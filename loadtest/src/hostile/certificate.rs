//! The certificate of a server that exists for one run.

use std::fs;

use tempfile::TempDir;

use super::settings::Setting;
use crate::error::LoadError;
use crate::tls::{Tls, TlsFiles};

/// The name in the certificate.
const NAME: &str = "localhost";

/// A certificate that is its own authority, and its key, in a directory that is removed when this
/// is dropped.
#[derive(Debug)]
pub struct Certificate {
    _directory: TempDir,
    /// The settings of the server.
    pub settings: [Setting; 2],
    /// How clients speak with the server.
    pub tls: Tls,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn make() -> Result<Self, LoadError> {
        let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]);
        let made = made
            .map_err(|error| LoadError::io("making a certificate")(std::io::Error::other(error)))?;
        let directory = tempfile::Builder::new()
            .prefix("talos-loadtest-tls-")
            .tempdir()
            .map_err(LoadError::io("making a temporary directory"))?;
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            fs::write(&path, text).map_err(LoadError::io("writing a certificate"))?;
            Ok::<_, LoadError>(path)
        };
        let cert = write("cert.pem", made.cert.pem())?;
        let key = write("key.pem", made.signing_key.serialize_pem())?;
        let setting = |name: &str, path: &std::path::Path| Setting {
            key: format!("serve.http.tls.{name}"),
            value: path.display().to_string(),
        };
        let settings = [setting("cert", &cert), setting("key", &key)];
        let files = TlsFiles {
            ca: Some(cert),
            own: None,
        };
        Ok(Self {
            tls: Tls::load(&files, NAME)?,
            settings,
            _directory: directory,
        })
    }
}
