//! One connection of a load thread. It never blocks, and allocates nothing after warm-up.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};

use crate::answer::{self, Answer};
use crate::composer::Asked;
use crate::endpoint::Endpoint;
use crate::tls::{Arrived, Session};

const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// A request without an answer yet.
#[derive(Debug)]
pub struct InFlight {
    /// When it was due, in nanoseconds since the start.
    pub due_ns: u64,
    /// The request.
    pub asked: Asked,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Closed. It may be made again at this time.
    Closed {
        /// Nanoseconds since the start.
        retry_ns: u64,
    },
    /// Connecting since this time.
    Connecting {
        /// Nanoseconds since the start.
        since_ns: u64,
    },
    /// Connected.
    Open,
}

/// A connection that is made, used, closed and made again.
#[derive(Debug)]
pub struct Connection {
    /// Its state.
    pub state: State,
    /// Counts how often it was made. Events and notes of another generation are outdated.
    pub generation: u32,
    /// Whether it is closed when it has all its answers.
    pub retiring: Retiring,
    /// Requests without an answer yet, in order.
    pub in_flight: VecDeque<InFlight>,
    /// Bytes to send.
    pub outgoing: Vec<u8>,
    fd: Option<OwnedFd>,
    /// Of a connection over TLS.
    session: Option<Session>,
    sent: usize,
    incoming: Vec<u8>,
    parsed: usize,
    filled: usize,
}

/// Whether a connection is being replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retiring {
    /// It stays.
    No,
    /// It gets no more requests, and is then replaced by a new one.
    Replace,
}

/// The result of a read.
pub type Received = Arrived;

impl Default for Connection {
    fn default() -> Self {
        Self {
            state: State::Closed { retry_ns: 0 },
            generation: 0,
            retiring: Retiring::No,
            in_flight: VecDeque::new(),
            outgoing: Vec::new(),
            fd: None,
            session: None,
            sent: 0,
            incoming: vec![0; FIRST_BUFFER_BYTES],
            parsed: 0,
            filled: 0,
        }
    }
}

impl Connection {
    /// Begins to connect. Returns the socket, so that the caller can watch it.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn begin(&mut self, endpoint: &Endpoint, now_ns: u64) -> io::Result<&OwnedFd> {
        self.session = endpoint.session()?;
        let fd = endpoint.begin_to_connect()?;
        self.state = State::Connecting { since_ns: now_ns };
        self.generation = self.generation.wrapping_add(1);
        self.retiring = Retiring::No;
        Ok(self.fd.insert(fd))
    }

    /// Goes on with making the connection, and returns whether it is open now. Call it when
    /// something happens at the socket, until it is.
    ///
    /// # Errors
    /// Why the connection could not be made.
    pub fn finish_connecting(&mut self) -> io::Result<bool> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        sockopt::socket_error(fd)??;
        if let Some(session) = &mut self.session
            && !session.shake_hands(fd)?
        {
            return Ok(false);
        }
        self.state = State::Open;
        Ok(true)
    }

    /// Whether something waits to be sent.
    #[must_use]
    pub fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || self.session.as_ref().is_some_and(Session::has_unsent)
    }

    /// Closes the connection. Requests in flight stay in the queue, for the caller to count.
    pub fn close(&mut self, retry_ns: u64) {
        if let (Some(fd), Some(mut session)) = (self.fd.take(), self.session.take()) {
            session.close(&fd);
        }
        self.state = State::Closed { retry_ns };
        self.outgoing.clear();
        (self.sent, self.parsed, self.filled) = (0, 0, 0);
    }

    /// Sends as much as the system accepts now. Call it again when the socket becomes writable.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn flush(&mut self) -> io::Result<()> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        if let Some(session) = &mut self.session {
            while let Some(rest) = self
                .outgoing
                .get(self.sent..)
                .filter(|rest| !rest.is_empty())
            {
                self.sent += session.write(rest)?;
                session.send(fd)?;
                if session.has_unsent() {
                    return Ok(());
                }
            }
            session.send(fd)?;
            self.outgoing.clear();
            self.sent = 0;
            return Ok(());
        }
        while let Some(rest) = self
            .outgoing
            .get(self.sent..)
            .filter(|rest| !rest.is_empty())
        {
            match rustix::net::send(fd, rest, SendFlags::NOSIGNAL) {
                Ok(length) => self.sent += length,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.outgoing.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads once from the socket.
    ///
    /// # Errors
    /// The error of the system call.
    pub fn receive(&mut self) -> io::Result<Received> {
        if let Some(session) = self.session.take() {
            return self.receive_records(session);
        }
        self.make_room();
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let room = self.incoming.get_mut(self.filled..).unwrap_or_default();
        let wanted = room.len();
        match rustix::net::recv(fd, room, RecvFlags::empty()).map(|(length, _)| length) {
            Ok(0) => Ok(Received::End),
            Ok(length) => {
                self.filled += length;
                // A stream that returns less than requested has no more.
                Ok(if length < wanted {
                    Received::All
                } else {
                    Received::Part
                })
            }
            Err(Errno::AGAIN) => Ok(Received::All),
            Err(Errno::INTR) => Ok(Received::Part),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes room for more to arrive.
    fn make_room(&mut self) {
        if self.filled == self.incoming.len() {
            // Everything before the incomplete answer has been parsed.
            self.incoming.copy_within(self.parsed.., 0);
            self.filled -= self.parsed;
            self.parsed = 0;
            if self.filled == self.incoming.len() {
                self.incoming.resize(self.filled * 2, 0);
            }
        }
    }

    /// Does what [`Connection::receive`] does, over TLS.
    fn receive_records(&mut self, mut session: Session) -> io::Result<Received> {
        let fd = self.fd.take().ok_or(io::ErrorKind::NotConnected)?;
        let arrived = session.receive(&fd, |reader| {
            loop {
                self.make_room();
                let room = self.incoming.get_mut(self.filled..).unwrap_or_default();
                match reader.read(room) {
                    Ok(0) => return Ok(true),
                    Ok(length) => self.filled += length,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                    // The server has closed the connection without saying so.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
        });
        (self.fd, self.session) = (Some(fd), Some(session));
        arrived
    }

    /// The next complete answer. Its body is a range for [`Connection::bytes`], valid until the
    /// next call.
    ///
    /// # Errors
    /// `InvalidData` if the server does not speak HTTP.
    pub fn next_answer(&mut self) -> io::Result<Option<Answer>> {
        let unread = self
            .incoming
            .get(self.parsed..self.filled)
            .unwrap_or_default();
        if unread.is_empty() {
            (self.parsed, self.filled) = (0, 0);
            return Ok(None);
        }
        let found = answer::find(unread)
            .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
        let Some(mut answer) = found else {
            return Ok(None);
        };
        let start = self.parsed;
        self.parsed += answer.body.end;
        answer.body = answer.body.start + start..answer.body.end + start;
        Ok(Some(answer))
    }

    /// A part of what was received.
    #[must_use]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        self.incoming.get(range).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn connected() -> (Connection, UnixStream) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut connection = Connection::default();
        connection.begin(&Endpoint::Unix(path), 0).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert!(connection.finish_connecting().unwrap());
        assert_eq!((connection.state, connection.generation), (State::Open, 1));
        (connection, server)
    }

    #[test]
    fn what_the_system_does_not_take_at_once_is_sent_later() {
        let (mut connection, mut server) = connected();
        let bytes: Vec<u8> = (0..4_u32 << 20).map(|n| n.to_le_bytes()[1]).collect();
        connection.outgoing.extend_from_slice(&bytes);
        connection.flush().unwrap();
        assert!(!connection.outgoing.is_empty(), "more than a socket holds");
        let mut read = vec![0; bytes.len()];
        let mut filled = 0;
        while filled < read.len() {
            filled += server.read(&mut read[filled..]).unwrap();
            connection.flush().unwrap();
        }
        assert!(read == bytes && connection.outgoing.is_empty());
    }

    /// The bodies of all complete answers.
    fn answers(connection: &mut Connection) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while let Some(answer) = connection.next_answer().unwrap() {
            bodies.push(connection.bytes(answer.body).to_vec());
        }
        bodies
    }

    #[test]
    fn answers_of_any_size_are_found_however_they_arrive() {
        let (mut connection, mut server) = connected();
        let body = |length: usize| vec![b'x'; length];
        let sizes = [0, 5, 20_000, 1, 100_000, 3];
        let mut bytes = Vec::new();
        for size in sizes {
            write!(bytes, "HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").unwrap();
            bytes.extend(body(size));
        }
        let mut seen = Vec::new();
        for piece in bytes.chunks(7_001) {
            server.write_all(piece).unwrap();
            while connection.receive().unwrap() == Received::Part {
                seen.extend(answers(&mut connection));
            }
            seen.extend(answers(&mut connection));
        }
        assert_eq!(seen, sizes.map(body));
        drop(server);
        assert_eq!(connection.receive().unwrap(), Received::End);
        connection.close(5);
        assert_eq!(connection.state, State::Closed { retry_ns: 5 });
        assert!(connection.flush().is_err());
    }
}
