//! Errors of starting and stopping a server. All of them are for the operator.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server did not start, or did not stop cleanly.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The number of workers is out of range.
    #[error("{asked} workers; a server has 1 to {most}")]
    Workers {
        /// The requested number.
        asked: usize,
        /// The largest allowed number.
        most: usize,
    },
    /// The options name no TCP listener.
    #[error("a server needs a TCP listener")]
    NoListener,
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    #[error("cannot listen on the socket {path}: {source}")]
    Socket {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The requested driver does not work here.
    #[error("cannot use {driver}: {source}; choose another driver, or allow it")]
    Driver {
        /// The name of the driver.
        driver: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("cannot start a worker: {0}")]
    Thread(io::Error),
    /// A worker panicked. The other workers were told to stop.
    #[error("a worker panicked")]
    Panicked,
}
