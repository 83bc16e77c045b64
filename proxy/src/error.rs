//! Why a proxy cannot start.

use std::io;
use std::net::SocketAddr;

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
    #[error("the certificates for the upstream, {path}: {message}")]
    Certificates {
        /// The PEM file.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}
