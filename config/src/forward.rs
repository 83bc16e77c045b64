//! `replication.forward`: how a replica passes requests on to its primary.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::error::{Problem, Warning};

/// `replication.forward`: how a replica passes requests on to its primary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forward {
    /// A PEM file of the only authorities that the certificate of the primary's API may come from;
    /// `None` = those that browsers trust.
    pub ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Whether requests with secrets are passed on over plain HTTP to another machine.
    pub allow_plain: bool,
}

impl Forward {
    /// The certificate that this node presents to the primary's API, and its private key, both PEM
    /// files.
    #[must_use]
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }

    /// A certificate without its key, or a key without its certificate.
    pub(crate) fn problem(&self) -> Option<Problem> {
        let (present, absent) = match (&self.cert, &self.key) {
            (Some(_), None) => ("replication.forward.cert", "replication.forward.key"),
            (None, Some(_)) => ("replication.forward.key", "replication.forward.cert"),
            _ => return None,
        };
        Some(Problem::of_key(
            absent,
            format!("missing beside {present}; set both, or neither"),
        ))
    }

    /// What a replica of the primary at `primary_url` does not do, or does without TLS.
    pub(crate) fn warnings(&self, primary_url: &str) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if !self.allow_plain && leaves_machine_in_plain(primary_url) {
            warnings.push(Warning {
                key: "replication.primary_url",
                message: format!(
                    "{primary_url} is plain HTTP to another machine, so this node does not pass on requests with secrets, such as issuing and rotating keys, while it is a replica; use https://, or set replication.forward.allow_plain: true if nobody can read along"
                ),
            });
        }
        if !primary_url.starts_with("https://") && (self.ca.is_some() || self.cert.is_some()) {
            warnings.push(Warning {
                key: "replication.forward.ca",
                message: "has no effect, nor has replication.forward.cert: replication.primary_url is not https://".to_owned(),
            });
        }
        warnings
    }
}

/// Whether what is sent to the server at `url`, `http://HOST` or `https://HOST` with or without a
/// port, leaves this machine without TLS. A host that is neither `localhost` nor a loopback address
/// counts as another machine.
#[must_use]
pub fn leaves_machine_in_plain(url: &str) -> bool {
    let Some(authority) = url.strip_prefix("http://") else {
        return !url.starts_with("https://");
    };
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next(),
        None => authority.split(':').next(),
    };
    let host = host.unwrap_or_default();
    let address = host.parse::<IpAddr>();
    !host.eq_ignore_ascii_case("localhost")
        && !address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_tls_keep_a_secret() {
        for url in [
            "http://localhost:4420",
            "http://LOCALHOST",
            "http://127.0.0.1:4420",
            "http://127.8.9.1",
            "http://[::1]:4420",
            "http://[::ffff:127.0.0.1]",
            "https://primary.example:4420",
        ] {
            assert!(!leaves_machine_in_plain(url), "{url}");
        }
        for url in [
            "http://primary:4420",
            "http://10.0.0.1:4420",
            "http://[2001:db8::1]:4420",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "",
        ] {
            assert!(leaves_machine_in_plain(url), "{url}");
        }
    }
}
