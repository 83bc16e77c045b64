//! A TCP connection within TLS, over monoio's owned buffers.
//!
//! Guarantees: no pending read or write is dropped; nothing is sent while reading, because only a
//! write has a deadline that ends it: what rustls wants to say then waits for the next write; the
//! cryptography of the handshake takes turns ([`crate::handshake_turns`]); after the end, what
//! comes is not decrypted.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::buf::SliceMut;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::TcpStream;
use talos_tls::{ClientIdentity, ServerTls};

use crate::core::Core;
use crate::deadlines::Phase;
use crate::limits;
use crate::registry::Registered;
use crate::stream::{Arrived, Opened, Stream, arrived};
use crate::tls_session::{Session, Step};

/// A TCP connection within TLS.
pub(crate) struct TlsStream {
    io: TcpStream,
    /// Boxed, because it is large, and moves with the connection.
    session: Box<Session>,
    identity: Option<Box<ClientIdentity>>,
    /// Whether bytes are sent and received as they are: the client speaks no TLS, or the end was
    /// sent.
    is_raw: bool,
}

impl TlsStream {
    /// TLS over an accepted connection. The handshake follows in [`Stream::open`].
    pub(crate) fn new(io: TcpStream, tls: &ServerTls) -> io::Result<Self> {
        let session = Session::new(tls.config(), tls.asks_for_certificate());
        Ok(Self {
            io,
            session: Box::new(session.map_err(io::Error::other)?),
            identity: None,
            is_raw: false,
        })
    }

    /// Receives once. Returns false when the client has closed.
    async fn receive(&mut self) -> io::Result<bool> {
        let incoming = self.session.take_incoming()?;
        let (filled, capacity) = (incoming.len(), incoming.capacity());
        let (result, slice) = self
            .io
            .read(SliceMut::new(incoming, filled, capacity))
            .await;
        self.session.put_incoming(slice.into_inner());
        result.map(|bytes| bytes > 0)
    }

    /// Sends the records that wait to be sent.
    async fn send(&mut self) -> io::Result<()> {
        if !self.session.has_outgoing() {
            return Ok(());
        }
        let (result, outgoing) = self.io.write_all(self.session.take_outgoing()).await;
        self.session.put_outgoing(outgoing);
        result.map(|_| ())
    }

    /// Runs the handshake. Returns what has become of the connection.
    async fn shake_hands(&mut self, core: &Core, slot: &Registered) -> io::Result<Opened> {
        while self.session.is_handshaking() {
            if slot.is_cut() || !slot.hold(self.held() + self.growth(), core.now()) {
                return Ok(Opened::Closed);
            }
            if !self.receive().await? {
                return Ok(Opened::Closed);
            }
            if self.session.is_plain_http() {
                return Ok(Opened::PlainHttp);
            }
            if !self.session.has_record() {
                continue;
            }
            let Some(turn) = core.handshakes.take(slot).await else {
                return Ok(Opened::Closed);
            };
            let step = self.session.advance(&mut Vec::new());
            drop(turn);
            slot.hold_anyway(self.held());
            match step {
                Ok(Step::End) => return Ok(Opened::Closed),
                Ok(Step::Plain(_) | Step::Receive) => self.send().await?,
                Err(failure) => {
                    tracing::debug!(error = %failure, "a TLS handshake failed");
                    return Ok(Opened::Refused);
                }
            }
        }
        Ok(Opened::Ready)
    }
}

impl AsRawFd for TlsStream {
    fn as_raw_fd(&self) -> RawFd {
        self.io.as_raw_fd()
    }
}

impl Stream for TlsStream {
    const HAS_HANDSHAKE: bool = true;

    async fn open(&mut self, core: &Core, slot: &Registered) -> Opened {
        let now = core.now();
        let deadline = now.plus(core.live().deadlines.head);
        slot.enter(Phase::Handshake, now, deadline);
        let mut opened = self.shake_hands(core, slot).await.unwrap_or(Opened::Closed);
        if opened == Opened::Ready {
            match self.session.identity() {
                Ok(identity) => self.identity = identity.map(Box::new),
                Err(failure) => {
                    tracing::debug!(error = %failure, "a client certificate is refused");
                    opened = Opened::Refused;
                }
            }
        }
        let counters = &core.metrics.handshakes;
        match opened {
            Opened::Ready if self.session.is_resumed() == Some(true) => &counters.resumed,
            Opened::Ready => &counters.full,
            Opened::PlainHttp => &counters.plain,
            Opened::Refused | Opened::Closed => &counters.failed,
        }
        .increment();
        self.is_raw = opened == Opened::PlainHttp;
        let now = core.now();
        slot.enter(Phase::Idle, now, now.plus(core.live().deadlines.head));
        opened
    }

    async fn read(&mut self, mut input: Vec<u8>) -> (io::Result<Arrived>, Vec<u8>) {
        if self.is_raw {
            let (filled, capacity) = (input.len(), input.capacity());
            let (result, slice) = self.io.read(SliceMut::new(input, filled, capacity)).await;
            return (result.map(arrived), slice.into_inner());
        }
        // Records may wait that came with those before.
        let mut step = self.session.advance(&mut input);
        if matches!(step, Ok(Step::Receive)) {
            match self.receive().await {
                // The end of a message shows in HTTP, so a client may leave out `close_notify`.
                Ok(false) => return (Ok(Arrived::End), input),
                Err(error) => return (Err(error), input),
                Ok(true) => step = self.session.advance(&mut input),
            }
        }
        let arrived = match step {
            Ok(Step::Plain(0) | Step::Receive) => Ok(Arrived::Part),
            Ok(Step::Plain(bytes)) => Ok(Arrived::Bytes(bytes)),
            Ok(Step::End) => Ok(Arrived::End),
            Err(failure) => {
                tracing::debug!(error = %failure, "a TLS connection failed");
                Err(failure.into())
            }
        };
        (arrived, input)
    }

    async fn write_all(&mut self, output: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        if self.is_raw {
            let (result, output) = self.io.write_all(output).await;
            return (result.map(|_| ()), output);
        }
        let mut rest = &output[..];
        while !rest.is_empty() {
            let encrypted = self.session.encrypt(rest).map_err(io::Error::from);
            let sent = match encrypted {
                Ok(bytes) => {
                    rest = rest.get(bytes..).unwrap_or_default();
                    self.send().await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                return (Err(error), output);
            }
        }
        (Ok(()), output)
    }

    async fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_raw, true) {
            return Ok(());
        }
        // After a failure there is an alert to send, and nothing can be added to it.
        if let Err(failure) = self.session.close() {
            tracing::trace!(error = %failure, "a TLS connection ends without close_notify");
        }
        self.send().await
    }

    fn held(&self) -> usize {
        self.session.held()
    }

    fn growth(&self) -> usize {
        if self.is_raw {
            0
        } else {
            self.session.growth()
        }
    }

    fn grow(&mut self) {
        self.session.grow();
    }

    fn write_memory(bytes: usize) -> usize {
        let records = bytes.min(limits::TLS_WRITE_BYTES);
        (records + limits::TLS_WRITE_OVERHEAD).saturating_sub(limits::BUFFER_BYTES)
    }

    fn shrink(&mut self) {
        self.session.shrink();
    }

    fn identity(&self) -> Option<&ClientIdentity> {
        self.identity.as_deref()
    }
}
