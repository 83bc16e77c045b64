//! The connection of a hostile client, with or without TLS.

use std::io::{self, Read};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::script::Layer;
use crate::tls::{Arrived, Session};

/// The most that one call reads, in bytes, so that one client does not keep the others waiting.
const READ_AT_ONCE: usize = 256 << 10;

/// The connection of a client.
#[derive(Debug)]
pub struct Wire {
    fd: OwnedFd,
    layer: Layer,
    session: Option<Session>,
}

/// How the server has ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It closed it, perhaps with an alert of TLS.
    Closed,
    /// It reset it.
    Reset,
}

impl Wire {
    /// A connection over a socket that does not block. A client that speaks TLS needs a `session`.
    #[must_use]
    pub fn new(fd: OwnedFd, layer: Layer, session: Option<Session>) -> Self {
        Self { fd, layer, session }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Goes on with the handshake. Returns whether it is done, or not needed.
    ///
    /// # Errors
    /// The handshake cannot succeed any more.
    pub fn shake_hands(&mut self) -> io::Result<bool> {
        match &mut self.session {
            Some(session) => session.shake_hands(&self.fd),
            None => Ok(true),
        }
    }

    /// Sends as much as the system takes now. An error counts as nothing: the socket's next event
    /// shows it.
    pub fn send(&mut self, bytes: &[u8]) -> usize {
        let Some(session) = &mut self.session else {
            return send(&self.fd, bytes);
        };
        if self.layer == Layer::CutTls {
            let taken = session.write(bytes).unwrap_or(0);
            let records = session.records().unwrap_or_default();
            send(
                &self.fd,
                records.get(..records.len() / 2).unwrap_or_default(),
            );
            return taken;
        }
        if session.has_unsent() {
            // Fails only if the connection is gone, which its next event shows.
            let _ = session.send(&self.fd);
            if session.has_unsent() {
                return 0;
            }
        }
        if self.layer == Layer::RekeyedTls {
            session.renew_keys();
        }
        let taken = session.write(bytes).unwrap_or(0);
        let _ = session.send(&self.fd);
        taken
    }

    /// Reads what has come and passes it to `take`. Returns how the connection has ended, if it
    /// has.
    pub fn receive(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> Option<Ended> {
        // What came before a reset can still be read.
        let mut read = 0;
        let Some(session) = &mut self.session else {
            while read < READ_AT_ONCE {
                match rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::empty()) {
                    Ok((0, _)) => return Some(Ended::Closed),
                    Ok((length, _)) => {
                        take(buffer.get(..length).unwrap_or_default());
                        read += length;
                    }
                    Err(Errno::AGAIN) => return None,
                    Err(Errno::INTR) => {}
                    Err(_) => return Some(Ended::Reset),
                }
            }
            return None;
        };
        while read < READ_AT_ONCE {
            let arrived = session.receive(&self.fd, |reader| {
                read_all(reader, buffer, |piece| {
                    read += piece.len();
                    take(piece);
                })
            });
            match arrived {
                Ok(Arrived::All) => return None,
                Ok(Arrived::Part) => {}
                Ok(Arrived::End) => return Some(Ended::Closed),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Some(Ended::Closed);
                }
                Err(_) => return Some(Ended::Reset),
            }
        }
        None
    }
}

/// Reads what there is. Returns whether the stream has ended.
fn read_all(
    reader: &mut dyn Read,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]),
) -> io::Result<bool> {
    loop {
        match reader.read(buffer) {
            Ok(0) => return Ok(true),
            Ok(length) => take(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn send(fd: &OwnedFd, bytes: &[u8]) -> usize {
    if bytes.is_empty() {
        return 0;
    }
    rustix::net::send(fd, bytes, SendFlags::NOSIGNAL).unwrap_or(0)
}
