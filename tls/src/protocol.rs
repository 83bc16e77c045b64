//! The protocols within TLS.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

/// The protocol that is spoken within TLS. It decides the versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, over TLS 1.2 or 1.3. Clients that name protocols (ALPN, RFC 7301) must name
    /// `http/1.1`.
    Http,
    /// The protocol between nodes, over TLS 1.3 only and without ALPN.
    Replication,
}

static HTTP: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
static REPLICATION: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl Protocol {
    pub(crate) fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::Http => HTTP,
            Self::Replication => REPLICATION,
        }
    }

    pub(crate) fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http => vec![b"http/1.1".to_vec()],
            Self::Replication => Vec::new(),
        }
    }
}

/// The cryptography of all configurations.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
