//! TLS of a listener.

use std::path::{Path, PathBuf};

use crate::error::Problem;

/// `serve.http.tls` and its like: TLS of a listener. All files are PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// The certificates of the authorities that clients' certificates must come from. `None` =
    /// clients are not asked for certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether a client may have no certificate although there is `client_ca`.
    pub client_ca_optional: bool,
}

impl ListenerTls {
    /// The certificate with its intermediates, and its private key; `None` = no TLS.
    #[must_use]
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }

    /// Whether the listener serves with TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.own().is_some()
    }

    /// Combinations of values that are not allowed. `section` is the path of these settings.
    pub(crate) fn problem(&self, section: &str) -> Option<Problem> {
        let (absent, present) = match (&self.cert, &self.key, &self.client_ca) {
            (Some(_), None, _) => ("key", "cert"),
            (None, Some(_), _) => ("cert", "key"),
            (None, None, Some(_)) => ("cert", "client_ca"),
            (_, _, None) if self.client_ca_optional => ("client_ca", "client_ca_optional"),
            _ => return None,
        };
        Some(Problem::of_key(
            &format!("{section}.{absent}"),
            format!(
                "missing beside {section}.{present}; set {section}.cert and {section}.key for TLS, \
                 and {section}.client_ca to ask clients for certificates, or none of them for no TLS"
            ),
        ))
    }
}
