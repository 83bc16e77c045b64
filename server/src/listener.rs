//! Listening sockets and the accept loop.
//!
//! Guarantees: a port that another process listens on is an error, although every worker binds with `SO_REUSEPORT`; a
//! pending accept is never dropped (the connection would leak), it is ended by shutting the listener down; running out of
//! descriptors or memory makes the loop rest, not end.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Instant;

use monoio::net::{TcpListener, UnixListener};
use socket2::{Domain, Protocol, Socket, Type};

use crate::connection;
use crate::core::Core;
use crate::deadlines::shut_down;
use crate::driver::Driver;
use crate::limits;

/// Binds one listener per worker to `address`, and returns them with the address as bound.
pub(crate) fn bind(
    address: SocketAddr,
    workers: usize,
) -> io::Result<(Vec<std::net::TcpListener>, SocketAddr)> {
    // Without SO_REUSEPORT this fails where another listener is; it also lets the system choose a port.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    probe.listen(1)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    let listeners = (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            // Accepted sockets inherit it: an answer is one write, and there is nothing to wait for.
            socket.set_tcp_nodelay(true)?;
            socket.bind(&address.into())?;
            socket.listen(limits::BACKLOG)?;
            Ok(socket.into())
        })
        .collect::<io::Result<_>>()?;
    Ok((listeners, address))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A restart need not wait for the connections of the last run to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// One of a worker's listeners.
pub(crate) enum Listener {
    /// Its own.
    Tcp(TcpListener),
    /// Shared by all workers, of which each accepts what it gets.
    Unix(UnixListener),
}

impl Listener {
    /// Hands `listener` to this thread's runtime.
    pub(crate) fn tcp(listener: std::net::TcpListener, driver: Driver) -> io::Result<Self> {
        // A ring waits in the kernel only on a blocking socket; epoll needs one that does not block.
        listener.set_nonblocking(driver == Driver::Epoll)?;
        TcpListener::from_std(listener).map(Self::Tcp)
    }

    /// The same for a Unix socket.
    pub(crate) fn unix(
        listener: std::os::unix::net::UnixListener,
        driver: Driver,
    ) -> io::Result<Self> {
        listener.set_nonblocking(driver == Driver::Epoll)?;
        UnixListener::from_std(listener).map(Self::Unix)
    }

    /// Ends the pending accept, and refuses new connections from now on.
    pub(crate) fn shut_down(&self) {
        let socket = match self {
            Self::Tcp(listener) => listener.as_raw_fd(),
            Self::Unix(listener) => listener.as_raw_fd(),
        };
        shut_down(socket, Shutdown::Both);
    }

    /// Takes one connection and serves it.
    async fn accept(&self, core: &Rc<Core>) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                connection::spawn(core, stream, Some(peer.ip()));
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                connection::spawn(core, stream, None);
            }
        }
        Ok(())
    }

    /// Accepts until the listener is shut down.
    pub(crate) async fn accept_all(self: Rc<Self>, core: Rc<Core>) {
        let mut quiet_until: Option<Instant> = None;
        while !core.is_draining() {
            if core.is_full() {
                monoio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
            match self.accept(&core).await {
                Ok(()) => {}
                Err(_) if core.is_draining() => {}
                // The client gave up before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    core.metrics.accept_errors.increment();
                    let now = Instant::now();
                    if quiet_until.is_none_or(|until| now >= until) {
                        quiet_until = Some(now + limits::ACCEPT_LOG_INTERVAL);
                        tracing::error!(%error, total = core.metrics.accept_errors.get(), "cannot accept connections");
                    }
                    monoio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
        core.accepting_ended();
    }
}
