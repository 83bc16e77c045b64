//! Why a proxy does not start.

use std::io;
use std::net::SocketAddr;

/// Why a proxy does not start. Every variant is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address is taken or not this machine's.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system has no thread or descriptor left.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    /// The certificates for the upstream cannot be used.
    #[error("the certificates for the upstream, {path}: {message}")]
    Certificates {
        /// The file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}
