//! Reading certificates and private keys from PEM files.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::error::TlsError;
use crate::limits;

/// Reading rights of those who neither own a file nor are in its group.
const READABLE_BY_OTHERS: u32 = 0o004;

/// The certificates in a file, in their order; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::file(path, format!("not valid PEM: {error}")))?;
    if found.is_empty() {
        return Err(TlsError::file(
            path,
            "no certificate in it; it must hold blocks that begin with -----BEGIN CERTIFICATE-----",
        ));
    }
    Ok(found)
}

/// The private key in a file. Warns if everybody may read it.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        TlsError::file(
            path,
            match error {
                Error::NoItemsFound if is_encrypted(&text) => {
                    "the private key is encrypted; decrypt it with `openssl pkey -in FILE -out \
                     FILE.decrypted`"
                        .to_owned()
                }
                Error::NoItemsFound => "no private key in it; it must hold a block such as \
                     -----BEGIN PRIVATE KEY-----"
                    .to_owned(),
                other => format!("not valid PEM: {other}"),
            },
        )
    })?;
    let mode = path.metadata().map(|file| file.permissions().mode());
    if mode.is_ok_and(|mode| mode & READABLE_BY_OTHERS != 0) {
        tracing::warn!(
            file = %path.display(),
            "every user of this machine may read the private key; restrict it with chmod 600"
        );
    }
    Ok(key)
}

/// The certificates in a file as those to trust.
pub(crate) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| {
            TlsError::file(path, format!("a certificate cannot be trusted: {error}"))
        })?;
    }
    Ok(roots)
}

fn is_encrypted(text: &[u8]) -> bool {
    const MARK: &[u8] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(MARK.len()).any(|window| window == MARK)
}

/// The content of a file, which is cleared when it is dropped.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |error| TlsError::file(path, format!("cannot read it: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let too_large = || {
        let most = limits::FILE_BYTES;
        TlsError::file(path, format!("larger than {most} bytes; is it a PEM file?"))
    };
    if length > limits::FILE_BYTES {
        return Err(too_large());
    }
    // With room for all, the buffer is not copied, and no copy of a key stays behind.
    let capacity = usize::try_from(length).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limits::FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > limits::FILE_BYTES {
        return Err(too_large());
    }
    Ok(text)
}
