//! Listening sockets and the accept loop.
//!
//! Guarantees: a port that another process listens on is an error, although every worker binds with
//! `SO_REUSEPORT`; a pending accept is never dropped, because the connection would leak: shutting
//! the listener down ends it; when descriptors or memory run out the loop pauses and does not end.

use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use monoio::net::{TcpListener, UnixListener, UnixStream};
use socket2::{Domain, Protocol, Socket, Type};
use talos_model::Principal;

use crate::connection::{self, Peer};
use crate::core::Core;
use crate::deadlines::{Place, shut_down};
use crate::driver::Driver;
use crate::limits;
use crate::port::Port;
use crate::stream::Plain;
use crate::tls_stream::TlsStream;

/// Binds one listener per worker to `address`, and returns them with the address as bound.
pub(crate) fn bind(
    address: SocketAddr,
    workers: usize,
) -> io::Result<(Vec<std::net::TcpListener>, SocketAddr)> {
    // Without SO_REUSEPORT this fails if another process listens there. It also lets the system
    // choose a port.
    let probe = socket(address)?;
    probe.bind(&address.into())?;
    probe.listen(1)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    let listeners = (0..workers)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            // Accepted sockets inherit it. An answer is one write, so Nagle's algorithm would only
            // delay it.
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
    // Lets a restart bind while connections of the last run are in TIME_WAIT.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// The principal of the process at the other end of a Unix socket, by the user that it had when it
/// connected (`SO_PEERCRED`, unix(7)).
fn user_of(core: &Core, stream: &UnixStream) -> Option<Arc<Principal>> {
    let live = core.live();
    let access = live.access.as_ref()?;
    match stream.peer_cred() {
        Ok(credentials) => access.of_user(credentials.uid()),
        Err(error) => {
            tracing::warn!(%error, "the kernel does not name the user of a connection");
            None
        }
    }
}

/// A listening socket of one worker, not yet registered with a runtime.
pub(crate) enum BoundSocket {
    /// The worker's own TCP listener.
    Tcp(std::net::TcpListener),
    /// A Unix socket that all workers accept from.
    Unix(std::os::unix::net::UnixListener),
}

/// What became of a connection.
enum Accepted {
    /// A task serves it.
    Served,
    /// It was closed, because this address has as many as it may have.
    Refused(IpAddr),
}

/// Lets a line pass once in [`limits::ACCEPT_LOG_INTERVAL`].
#[derive(Default)]
struct RareLog {
    next: Option<Instant>,
}

impl RareLog {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.next.is_none_or(|next| now >= next);
        if is_due {
            self.next = Some(now + limits::ACCEPT_LOG_INTERVAL);
        }
        is_due
    }
}

/// One of a worker's listeners.
pub(crate) struct Listener {
    socket: ListeningSocket,
    /// What its connections may do.
    port: Rc<Port>,
}

enum ListeningSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Registers a socket with this thread's runtime.
    pub(crate) fn register(socket: BoundSocket, port: Port, driver: Driver) -> io::Result<Self> {
        // io_uring waits in the kernel only on a blocking socket. epoll needs a nonblocking one.
        let is_nonblocking = driver == Driver::Epoll;
        let socket = match socket {
            BoundSocket::Tcp(listener) => {
                listener.set_nonblocking(is_nonblocking)?;
                ListeningSocket::Tcp(TcpListener::from_std(listener)?)
            }
            BoundSocket::Unix(listener) => {
                listener.set_nonblocking(is_nonblocking)?;
                ListeningSocket::Unix(UnixListener::from_std(listener)?)
            }
        };
        Ok(Self {
            socket,
            port: Rc::new(port),
        })
    }

    /// Ends the pending accept, and refuses new connections from now on.
    pub(crate) fn shut_down(&self) {
        let socket = match &self.socket {
            ListeningSocket::Tcp(listener) => listener.as_raw_fd(),
            ListeningSocket::Unix(listener) => listener.as_raw_fd(),
        };
        shut_down(socket, Shutdown::Both);
    }

    /// Accepts one connection, which gets this place, and spawns its task. Closes the connection if
    /// its address has as many as it may have.
    async fn accept(&self, core: &Rc<Core>, place: Place) -> io::Result<Accepted> {
        let admitted = |peer: Option<IpAddr>| {
            // A place may have become free meanwhile.
            let place = if core.is_full() {
                place
            } else {
                Place::Regular
            };
            core.admits(peer).then_some(place)
        };
        match &self.socket {
            ListeningSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let address = peer.ip();
                let Some(place) = admitted(Some(address)) else {
                    return Ok(Accepted::Refused(address));
                };
                let peer = Peer {
                    address: Some(address),
                    principal: None,
                };
                match &self.port.tls {
                    None => connection::spawn(core, &self.port, Plain(stream), peer, place),
                    Some(tls) => {
                        let stream = TlsStream::new(stream, tls)?;
                        connection::spawn(core, &self.port, stream, peer, place);
                    }
                }
            }
            ListeningSocket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                // Its peers have no address, so none of them has too many.
                if let Some(place) = admitted(None) {
                    let peer = Peer {
                        address: None,
                        principal: user_of(core, &stream),
                    };
                    connection::spawn(core, &self.port, Plain(stream), peer, place);
                }
            }
        }
        Ok(Accepted::Served)
    }

    /// Accepts until the listener is shut down.
    pub(crate) async fn accept_all(self: Rc<Self>, core: Rc<Core>) {
        let mut log = RareLog::default();
        let mut busy_since: Option<Instant> = None;
        while !core.is_draining() {
            let mut place = Place::Regular;
            if !core.is_full() {
                busy_since = None;
            } else if core.make_places() {
                busy_since = None;
                monoio::time::sleep(limits::PLACE_PAUSE).await;
                continue;
            } else {
                let since = *busy_since.get_or_insert_with(Instant::now);
                if since.elapsed() < limits::RESERVE_AFTER || !core.has_reserved_place() {
                    monoio::time::sleep(limits::ACCEPT_PAUSE).await;
                    continue;
                }
                place = Place::Reserved;
            }
            match self.accept(&core, place).await {
                Ok(Accepted::Served) => {}
                Ok(Accepted::Refused(address)) => {
                    core.metrics.connections_refused.increment();
                    if log.is_due() {
                        tracing::warn!(%address, total = core.metrics.connections_refused.get(), "connections were closed: their address has as many as serve.http.limits.connections_per_address allows");
                    }
                }
                Err(_) if core.is_draining() => {}
                // The client closed the connection before it was accepted.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    core.metrics.accept_errors.increment();
                    if log.is_due() {
                        tracing::error!(%error, total = core.metrics.accept_errors.get(), "cannot accept connections");
                    }
                    monoio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            }
        }
        core.accept_loop_ended();
    }
}
