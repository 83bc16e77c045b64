//! TLS of the client of the REST API.

use std::fs;
use std::path::Path;

use talos_tls::{ClientFiles, ClientTls, Protocol};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::error::CliError;

/// What a PEM file holds.
#[derive(Default)]
struct Pem {
    certificates: Vec<Certificate<'static>>,
    key: Option<PrivateKey<'static>>,
}

/// Reads the files of a client.
///
/// # Errors
/// [`CliError::Tls`] or [`CliError::File`]: the file, and what is wrong with it.
pub(crate) fn config(files: &ClientFiles) -> Result<TlsConfig, CliError> {
    // The HTTP client would panic, or ignore the file, where this explains what is wrong.
    ClientTls::load(files.clone(), Protocol::Http)?;
    let mut config = TlsConfig::builder();
    if let Some(path) = &files.authorities {
        config = config.root_certs(RootCerts::new_with_certs(&read(path)?.certificates));
    }
    if let Some(own) = &files.own {
        let chain = read(&own.certificates)?.certificates;
        let key = read(&own.key)?.key;
        config = config.client_cert(key.map(|key| ClientCert::new_with_certs(&chain, key)));
    }
    Ok(config.build())
}

fn read(path: &Path) -> Result<Pem, CliError> {
    let shown = || path.display().to_string();
    let text = fs::read(path).map_err(|source| CliError::File {
        path: shown(),
        source,
    })?;
    let mut pem = Pem::default();
    for item in parse_pem(&text) {
        let item = item.map_err(|error| CliError::BadFile {
            path: shown(),
            what: error.to_string(),
        })?;
        match item {
            PemItem::Certificate(certificate) => pem.certificates.push(certificate),
            PemItem::PrivateKey(key) => {
                pem.key.get_or_insert(key);
            }
            _ => {}
        }
    }
    Ok(pem)
}
