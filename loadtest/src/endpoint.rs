//! Where a server listens: a TCP address, with or without TLS, or a Unix socket.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustls::{ClientConnection, StreamOwned};

use crate::tls::{Session, Tls};

/// An address.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over TLS.
    Tls(SocketAddr, Tls),
    /// Over a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) | Self::Tls(address, _) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A blocking connection.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over TLS.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Endpoint {
    /// Connects, and waits until that is done. That fails after `patience`, and so do reads and
    /// writes on the stream.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn connect(&self, patience: Duration) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => Ok(Stream::Tcp(connect_tcp(*address, patience)?)),
            Self::Tls(address, tls) => {
                let stream = tls.wrap(connect_tcp(*address, patience)?)?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(patience))?;
                stream.set_write_timeout(Some(patience))?;
                Ok(Stream::Unix(stream))
            }
        }
    }

    /// A new session for a connection over TLS; `None` for others.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn session(&self) -> io::Result<Option<Session>> {
        match self {
            Self::Tls(_, tls) => tls.session().map(Some),
            Self::Tcp(_) | Self::Unix(_) => Ok(None),
        }
    }

    /// Begins to connect. The socket becomes writable when that has succeeded or failed.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn begin_to_connect(&self) -> io::Result<OwnedFd> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (fd, begun) = match self {
            Self::Tcp(address) | Self::Tls(address, _) => {
                let family = if address.is_ipv4() {
                    AddressFamily::INET
                } else {
                    AddressFamily::INET6
                };
                let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
                sockopt::set_tcp_nodelay(&fd, true)?;
                let begun = rustix::net::connect(&fd, address);
                (fd, begun)
            }
            Self::Unix(path) => {
                let fd =
                    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                let begun = rustix::net::connect(&fd, &SocketAddrUnix::new(path.as_path())?);
                (fd, begun)
            }
        };
        match begun {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn connect_tcp(address: SocketAddr, patience: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
            Self::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.flush(),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }
}
