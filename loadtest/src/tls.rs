//! TLS to the server, over sockets that do not block and over sockets that do.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::net::{RecvFlags, SendFlags};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use talos_tls::{Certified, ClientFiles, ClientTls, Protocol, TlsError, server_name};

/// The files of a client.
#[derive(Clone, Debug, Default)]
pub struct TlsFiles {
    /// The authorities of the server's certificate; `None` = those that browsers trust.
    pub ca: Option<PathBuf>,
    /// The certificate that the client presents, with its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// How to speak TLS with one server.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

impl Tls {
    /// Reads the files. The server must have a certificate for `host`.
    ///
    /// # Errors
    /// The file, and what is wrong with it.
    pub fn load(files: &TlsFiles, host: &str) -> Result<Self, TlsError> {
        let own = files.own.as_ref().map(|(certificates, key)| Certified {
            certificates: certificates.clone(),
            key: key.clone(),
        });
        let files = ClientFiles {
            authorities: files.ca.clone(),
            own,
        };
        Ok(Self {
            config: ClientTls::load(files, Protocol::Http)?.config(),
            name: server_name(host)?,
        })
    }

    fn connection(&self) -> io::Result<ClientConnection> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(invalid)
    }

    /// A session over a socket that does not block.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn session(&self) -> io::Result<Session> {
        Ok(Session(Box::new(self.connection()?)))
    }

    /// The first message of a handshake.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn hello(&self) -> io::Result<Vec<u8>> {
        self.session()?.records()
    }

    /// A session over a socket that blocks. Its handshake comes with its first request.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn wrap(&self, stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        Ok(StreamOwned::new(self.connection()?, stream))
    }
}

/// A TLS session over a socket that does not block.
#[derive(Debug)]
pub struct Session(Box<ClientConnection>);

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Everything that had arrived at the socket.
    All,
    /// There may be more.
    Part,
    /// The end of the stream.
    End,
}

impl Session {
    /// Goes on with the handshake. Returns whether it is done; if not, call it again when the
    /// socket becomes readable or writable.
    ///
    /// # Errors
    /// When the server is not trusted, refuses this client, or breaks off.
    pub fn shake_hands(&mut self, fd: &OwnedFd) -> io::Result<bool> {
        loop {
            self.send(fd)?;
            if !self.0.is_handshaking() {
                return Ok(true);
            }
            match self.read_records(fd)? {
                Arrived::All if self.0.is_handshaking() && !self.0.wants_write() => {
                    return Ok(false);
                }
                Arrived::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Arrived::All | Arrived::Part => {}
            }
        }
    }

    /// Takes bytes to send, as many as there is room for.
    ///
    /// # Errors
    /// None that a caller could do something about.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.writer().write(bytes)
    }

    /// Whether records wait to be sent.
    pub fn has_unsent(&self) -> bool {
        self.0.wants_write()
    }

    /// Takes the records that wait to be sent.
    ///
    /// # Errors
    /// None that a caller could do something about.
    pub fn records(&mut self) -> io::Result<Vec<u8>> {
        let mut records = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut records)?;
        }
        Ok(records)
    }

    /// Encrypts what follows with new keys, and asks the server for new keys, too. Does nothing in
    /// TLS 1.2.
    pub fn renew_keys(&mut self) {
        // Fails in TLS 1.2, and before the end of the handshake.
        let _ = self.0.refresh_traffic_keys();
    }

    /// Sends records until there are none or the socket takes no more.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn send(&mut self, fd: &OwnedFd) -> io::Result<()> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket { fd, drained: false }) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads once from the socket. `take` gets a reader of what was in the records, which it must
    /// read until that would block or end; it returns whether the stream has ended.
    ///
    /// # Errors
    /// The error of the system call; `InvalidData` if the server breaks the protocol.
    pub fn receive(
        &mut self,
        fd: &OwnedFd,
        take: impl FnOnce(&mut dyn Read) -> io::Result<bool>,
    ) -> io::Result<Arrived> {
        let arrived = self.read_records(fd)?;
        let ended = take(&mut self.0.reader())?;
        // Records may demand an answer, such as new keys.
        self.send(fd)?;
        Ok(if ended { Arrived::End } else { arrived })
    }

    /// Tells the server that nothing more comes.
    pub fn close(&mut self, fd: &OwnedFd) {
        self.0.send_close_notify();
        // The connection ends in any case.
        let _ = self.send(fd);
    }

    fn read_records(&mut self, fd: &OwnedFd) -> io::Result<Arrived> {
        let mut socket = Socket { fd, drained: false };
        match self.0.read_tls(&mut socket) {
            Ok(0) => return Ok(Arrived::End),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Arrived::All),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Arrived::Part),
            Err(error) => return Err(error),
        }
        let drained = socket.drained;
        if let Err(error) = self.0.process_new_packets() {
            // The server learns why; what matters here is the error.
            let _ = self.send(fd);
            return Err(invalid(error));
        }
        Ok(if drained { Arrived::All } else { Arrived::Part })
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// A socket as rustls needs it.
struct Socket<'a> {
    fd: &'a OwnedFd,
    /// The last read brought less than there was room for, so nothing is left.
    drained: bool,
}

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let (length, _) = rustix::net::recv(self.fd, buffer, RecvFlags::empty())?;
        self.drained = length < room;
        Ok(length)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.fd, bytes, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
