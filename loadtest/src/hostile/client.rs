//! One hostile client: a connection that follows a script.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, sockopt};

use super::received::Received;
use super::script::{Ending, Layer, Reading, Script};
use super::wire::{Ended, Wire};
use crate::tls::Tls;

/// The receive buffer of a client that reads nothing, in bytes. The kernel doubles it.
const SMALL_BUFFER: usize = 4 << 10;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was never made.
    NotConnected,
    /// The server closed it.
    ClosedByServer,
    /// The server reset it.
    Reset,
    /// The client closed or reset it, as its script says.
    ByScript,
    /// The client gave up after the longest time that its script allows, or at the end of the
    /// round.
    GaveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Connecting,
    /// Of TLS.
    Handshake,
    /// Bytes of the opening that were sent.
    Opening(usize),
    /// Pieces that were sent, and bytes of the next one.
    Repeating(u32, usize),
    /// Everything was sent.
    Holding,
}

/// A hostile client.
#[derive(Debug)]
pub struct Client {
    /// What it does.
    pub script: Script,
    /// What it was answered.
    pub received: Received,
    /// When it must go.
    pub leaves: Instant,
    /// Bytes that it sent.
    pub sent: u64,
    wire: Wire,
    stage: Stage,
}

/// What an event has told a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that it acts on.
    Nothing,
    /// The handshake is done: it begins to send.
    Opened,
    /// The connection has ended.
    Ended(End),
}

/// What a client does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It goes on after this time.
    After(Duration),
    /// It has nothing more to send.
    Waits,
    /// It has ended its connection.
    Ends,
}

impl Client {
    /// Begins to connect. The socket becomes writable when that has succeeded or failed. `tls` is
    /// how the server speaks TLS, if it does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn connect(
        script: Script,
        server: SocketAddr,
        tls: Option<&Tls>,
        now: Instant,
    ) -> io::Result<Self> {
        let tls = tls.filter(|_| script.layer != Layer::Plain);
        let session = tls.map(Tls::session).transpose()?;
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        if script.reading == Reading::Nothing {
            sockopt::set_socket_recv_buffer_size(&fd, SMALL_BUFFER)?;
        }
        rustix::net::bind(&fd, &SocketAddrV4::new(script.from, 0))?;
        match rustix::net::connect(&fd, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(Self {
            received: Received::default(),
            leaves: now + script.lasts,
            sent: 0,
            stage: Stage::Connecting,
            wire: Wire::new(fd, script.layer, session),
            script,
        })
    }

    /// The socket, to wait for its events.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.wire.socket()
    }

    /// Whether the connection is not made yet.
    #[must_use]
    pub fn is_connecting(&self) -> bool {
        self.stage == Stage::Connecting
    }

    /// The events that a connected client waits for.
    #[must_use]
    pub fn events(&self) -> EventFlags {
        if self.stage == Stage::Handshake || self.script.reading == Reading::Everything {
            EventFlags::IN | EventFlags::RDHUP
        } else {
            EventFlags::RDHUP
        }
    }

    /// Completes the connection. Returns false if it could not be made.
    pub fn finish_connecting(&mut self) -> bool {
        self.stage = Stage::Handshake;
        matches!(sockopt::socket_error(self.wire.socket()), Ok(Ok(())))
    }

    /// Sends what is due.
    pub fn step(&mut self) -> Next {
        match self.stage {
            Stage::Connecting | Stage::Holding => Next::Waits,
            Stage::Handshake => {
                // A failure shows in the socket's next event.
                if !self.wire.shake_hands().unwrap_or(false) {
                    return Next::Waits;
                }
                self.stage = Stage::Opening(0);
                self.step()
            }
            Stage::Opening(from) => {
                let rest = self.script.opening.get(from..).unwrap_or_default();
                let part = rest.get(..self.script.pace.bytes).unwrap_or(rest);
                let until = from + self.wire.send(part);
                self.sent += (until - from) as u64;
                self.stage = Stage::Opening(until);
                if until < self.script.opening.len() {
                    return Next::After(self.script.pace.every);
                }
                self.stage = Stage::Repeating(0, 0);
                match &self.script.then {
                    Some(repeat) => Next::After(repeat.every),
                    None => self.end(),
                }
            }
            Stage::Repeating(times, from) => {
                let Some(repeat) = &self.script.then else {
                    return self.end();
                };
                let rest = repeat.piece.get(from..).unwrap_or_default();
                let until = from + self.wire.send(rest);
                self.sent += (until - from) as u64;
                let whole = until >= repeat.piece.len();
                self.stage = if whole {
                    Stage::Repeating(times + 1, 0)
                } else {
                    Stage::Repeating(times, until)
                };
                if whole && times + 1 >= repeat.times {
                    return self.end();
                }
                Next::After(repeat.every)
            }
        }
    }

    /// Everything was sent.
    fn end(&mut self) -> Next {
        self.stage = Stage::Holding;
        match self.script.ending {
            Ending::Hold => Next::Waits,
            Ending::HalfClose => {
                // Fails only if the connection is gone, which its next event shows.
                let _ = rustix::net::shutdown(self.wire.socket(), Shutdown::Write);
                Next::Waits
            }
            Ending::Close => Next::Ends,
            Ending::Reset => {
                // The close that follows sends a reset. Without this option it is a usual close.
                let _ = sockopt::set_socket_linger(self.wire.socket(), Some(Duration::ZERO));
                Next::Ends
            }
        }
    }

    /// Reads what has come.
    pub fn receive(&mut self, flags: EventFlags, buffer: &mut [u8]) -> Heard {
        if self.stage == Stage::Handshake {
            return match self.wire.shake_hands() {
                Ok(true) => {
                    self.stage = Stage::Opening(0);
                    Heard::Opened
                }
                Ok(false) => Heard::Nothing,
                Err(_) => Heard::Ended(End::ClosedByServer),
            };
        }
        let broken = flags.contains(EventFlags::ERR);
        if self.script.reading == Reading::Nothing {
            let gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
            return match (broken, gone) {
                (true, _) => Heard::Ended(End::Reset),
                (false, true) => Heard::Ended(End::ClosedByServer),
                (false, false) => Heard::Nothing,
            };
        }
        let received = &mut self.received;
        match self.wire.receive(buffer, |piece| received.add(piece)) {
            Some(Ended::Closed) => Heard::Ended(End::ClosedByServer),
            Some(Ended::Reset) => Heard::Ended(End::Reset),
            None if broken => Heard::Ended(End::Reset),
            None => Heard::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::Arc;

    use super::*;
    use crate::hostile::attack::Attack;
    use crate::hostile::script::{Pace, Repeat};

    const FROM: Ipv4Addr = Ipv4Addr::new(127, 66, 3, 4);

    fn connected(script: Script) -> (Client, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = Client::connect(script, address, None, Instant::now()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip(), FROM);
        assert!(client.is_connecting() && client.finish_connecting());
        (client, server)
    }

    #[test]
    fn a_client_follows_its_script_to_the_end() {
        let mut script = Script::new(Attack::SlowHead, FROM, b"abcde".as_slice());
        script.pace = Pace::slow(2, 7);
        script.then = Some(Repeat {
            piece: Arc::from(*b"xy"),
            every: Duration::from_millis(9),
            times: 2,
        });
        script.ending = Ending::Close;
        let (mut client, mut server) = connected(script);
        let after = |millis| Next::After(Duration::from_millis(millis));
        let steps: Vec<_> = (0..5).map(|_| client.step()).collect();
        assert_eq!(steps, [after(7), after(7), after(9), after(9), Next::Ends]);
        drop(client);
        let mut seen = String::new();
        server.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "abcdexyxy");
    }

    #[test]
    fn a_client_sees_answers_and_the_end() {
        let script = Script::new(Attack::Silent, FROM, b"".as_slice());
        let (mut client, mut server) = connected(script);
        assert_eq!(client.step(), Next::Waits);
        server
            .write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            .unwrap();
        drop(server);
        let mut buffer = vec![0; 1024];
        let end = loop {
            if let Heard::Ended(end) = client.receive(EventFlags::IN, &mut buffer) {
                break end;
            }
        };
        assert_eq!(
            (end, client.received.statuses.refused),
            (End::ClosedByServer, 1)
        );
    }
}
