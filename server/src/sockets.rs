//! Binds all listeners of a server, once for each worker.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::error::ServerError;
use crate::listener::{self, BoundSocket};
use crate::options::ListenerOptions;
use crate::port::Port;
use crate::socket_file::SocketFile;

/// The addresses of the TCP listeners as bound.
pub(crate) struct Addresses {
    /// Of the first one.
    pub first: SocketAddr,
    /// Of the others.
    pub others: Vec<SocketAddr>,
}

/// The sockets of a server that does not serve yet.
pub(crate) struct BoundListeners {
    /// The addresses as bound.
    pub addresses: Addresses,
    /// For each worker its sockets, each with what its connections may do.
    pub of_workers: Vec<Vec<(BoundSocket, Port)>>,
    /// Removes the file of the Unix socket when it is dropped.
    pub socket_file: Option<SocketFile>,
}

impl BoundListeners {
    /// Binds `listeners` and the Unix socket `path` for `workers` workers. All workers accept from
    /// the same Unix socket, and each has TCP listeners of its own.
    pub(crate) fn bind(
        listeners: Vec<ListenerOptions>,
        path: Option<PathBuf>,
        workers: usize,
    ) -> Result<Self, ServerError> {
        let mut of_workers: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        let mut addresses = Vec::new();
        let mut first_port = None;
        for (listener, options) in listeners.into_iter().enumerate() {
            let ListenerOptions {
                address,
                surface,
                tls,
                ..
            } = options;
            let port = Port {
                surface,
                listener,
                tls,
            };
            let (sockets, bound) = listener::bind(address, workers)
                .map_err(|source| ServerError::Listen { address, source })?;
            addresses.push(bound);
            for (worker, socket) in of_workers.iter_mut().zip(sockets) {
                worker.push((BoundSocket::Tcp(socket), port.clone()));
            }
            first_port.get_or_insert(port);
        }
        let mut addresses = addresses.into_iter();
        let (Some(first), Some(port)) = (addresses.next(), first_port) else {
            return Err(ServerError::NoListener);
        };
        let socket = path.map(|path| {
            SocketFile::bind(&path).map_err(|source| ServerError::Socket { path, source })
        });
        let (socket_file, socket) = socket.transpose()?.unzip();
        if let Some(socket) = socket {
            for worker in &mut of_workers {
                let shared = UnixListener::try_clone(&socket).map_err(ServerError::Thread)?;
                worker.push((BoundSocket::Unix(shared), port.clone()));
            }
        }
        Ok(Self {
            addresses: Addresses {
                first,
                others: addresses.collect(),
            },
            of_workers,
            socket_file,
        })
    }
}
