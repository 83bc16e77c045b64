//! One connection of a load thread: it never blocks, and after warm-up it allocates nothing.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, sockopt};

use crate::answer::{self, Answer};
use crate::composer::Asked;
use crate::endpoint::Endpoint;

const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// A request without an answer yet.
#[derive(Debug)]
pub struct InFlight {
    /// When it was due, in nanoseconds since the start.
    pub due_ns: u64,
    /// What was asked.
    pub asked: Asked,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none; it may be made at this time.
    Closed {
        /// Nanoseconds since the start.
        retry_ns: u64,
    },
    /// It is being made since this time.
    Connecting {
        /// Nanoseconds since the start.
        since_ns: u64,
    },
    /// It can be used.
    Open,
}

/// A connection that is made, used, closed and made again.
#[derive(Debug)]
pub struct Connection {
    /// How far it is.
    pub state: State,
    /// Counts how often it was made: tells whether something belongs to an earlier one.
    pub generation: u32,
    /// It is to be closed when it has all its answers.
    pub retiring: Retiring,
    /// Requests without an answer yet, in order.
    pub in_flight: VecDeque<InFlight>,
    /// Bytes to be sent.
    pub outgoing: Vec<u8>,
    fd: Option<OwnedFd>,
    sent: usize,
    incoming: Vec<u8>,
    parsed: usize,
    filled: usize,
}

/// Whether a connection is wanted any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retiring {
    /// It is.
    No,
    /// It is to be replaced by a new one.
    Replace,
}

/// What reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// All that was there.
    All,
    /// A part: read again.
    Part,
    /// The server has closed.
    End,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            state: State::Closed { retry_ns: 0 },
            generation: 0,
            retiring: Retiring::No,
            in_flight: VecDeque::new(),
            outgoing: Vec::new(),
            fd: None,
            sent: 0,
            incoming: vec![0; FIRST_BUFFER_BYTES],
            parsed: 0,
            filled: 0,
        }
    }
}

impl Connection {
    /// Begins to connect, and returns the socket, to be watched.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&mut self, endpoint: &Endpoint, now_ns: u64) -> io::Result<&OwnedFd> {
        let fd = endpoint.begin_to_connect()?;
        self.state = State::Connecting { since_ns: now_ns };
        self.generation = self.generation.wrapping_add(1);
        self.retiring = Retiring::No;
        Ok(self.fd.insert(fd))
    }

    /// The socket has become writable: whether it is connected.
    ///
    /// # Errors
    /// Why it is not.
    pub fn finish_connecting(&mut self) -> io::Result<()> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        sockopt::socket_error(fd)??;
        self.state = State::Open;
        Ok(())
    }

    /// Closes it. What was in flight is the caller's to count; it stays in the queue.
    pub fn close(&mut self, retry_ns: u64) {
        self.fd = None;
        self.state = State::Closed { retry_ns };
        self.outgoing.clear();
        (self.sent, self.parsed, self.filled) = (0, 0, 0);
    }

    /// Sends what is to be sent, as far as the system takes it now. The rest goes when the socket becomes writable.
    ///
    /// # Errors
    /// What the system says.
    pub fn flush(&mut self) -> io::Result<()> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
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

    /// Reads once.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive(&mut self) -> io::Result<Received> {
        let fd = self.fd.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        if self.filled == self.incoming.len() {
            // All in front of the answer that is not complete yet was parsed.
            self.incoming.copy_within(self.parsed.., 0);
            self.filled -= self.parsed;
            self.parsed = 0;
            if self.filled == self.incoming.len() {
                self.incoming.resize(self.filled * 2, 0);
            }
        }
        let room = self.incoming.get_mut(self.filled..).unwrap_or_default();
        let wanted = room.len();
        match rustix::net::recv(fd, room, RecvFlags::empty()).map(|(length, _)| length) {
            Ok(0) => Ok(Received::End),
            Ok(length) => {
                self.filled += length;
                // A stream that gives less than it was asked for has no more.
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

    /// The next complete answer; its body lies at this range of [`Connection::bytes`] until the next call.
    ///
    /// # Errors
    /// `InvalidData` when the server did not speak HTTP.
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
        connection.finish_connecting().unwrap();
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

    /// All answers that are complete, each with its body.
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
