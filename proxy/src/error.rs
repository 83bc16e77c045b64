//! Why a proxy cannot start.

use std::io;
use std::net::SocketAddr;

use talos_tls::TlsError;

/// Why a proxy cannot start. The messages are for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the system call.
        source: io::Error,
    },
    /// The system has no thread or file descriptor left.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The certificates for the upstream cannot be used.
    #[error("TLS to the upstream: {0}")]
    UpstreamTls(TlsError),
    /// The certificates for clients cannot be used.
    #[error("TLS to clients: {0}")]
    ListenTls(TlsError),
}
