//! What can go wrong while a server starts or ends. Every variant is for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server did not start, or did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The number of workers is out of range.
    #[error("{asked} workers; a server has 1 to {most}")]
    Workers {
        /// What the options say.
        asked: usize,
        /// The most there may be.
        most: usize,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on the socket {path}: {source}")]
    Socket {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The driver that was asked for does not work here.
    #[error("cannot use {driver}: {source}; choose another driver, or allow it")]
    Driver {
        /// Its name.
        driver: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a worker: {0}")]
    Thread(io::Error),
    /// A worker ended by a panic; the others have been told to stop.
    #[error("a worker panicked")]
    Panicked,
}
