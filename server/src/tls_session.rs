//! One TLS connection without its socket: records in, plaintext out, and the reverse.
//!
//! rustls works in buffers that this module owns ([`UnbufferedServerConnection`]), so that the
//! memory of a connection is known, and bytes are copied as seldom as possible.
//!
//! Guarantees: `incoming` never holds more than [`Session::incoming_most`] bytes, and `plain` no
//! more than one decryption of them; records are decrypted one at a time, and only when what was
//! decrypted before has been taken, or before something is encrypted.

use std::io;
use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{HandshakeKind, ServerConfig};
use talos_tls::ClientIdentity;

use crate::limits;

/// The bytes before each record: type, version and length.
const HEADER_BYTES: usize = 5;
/// The type of a record of the handshake, the first that a client sends.
const HANDSHAKE_RECORD: u8 = 22;

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The client has broken the protocol, or has no acceptable certificate or version.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// A message does not fit into the buffer.
    #[error("a message of the handshake is too large")]
    TooLarge,
    /// The certificate of the client has names that cannot be read.
    #[error(transparent)]
    Certificate(#[from] talos_tls::UnreadableCertificate),
    /// Something was to be sent before the handshake was done, or after the end.
    #[error("the session does not take data now")]
    NotOpen,
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        Self::new(io::ErrorKind::InvalidData, failure)
    }
}

/// What [`Session::advance`] has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes of plaintext were appended.
    Plain(usize),
    /// More must be received.
    Receive,
    /// The client has said that it will send nothing more.
    End,
}

/// One TLS connection without its socket.
pub(crate) struct Session {
    tls: UnbufferedServerConnection,
    /// Received records. The first `consumed` bytes are done.
    incoming: Vec<u8>,
    consumed: usize,
    /// Decrypted bytes for which there was no room.
    plain: Vec<u8>,
    /// Records to send.
    outgoing: Vec<u8>,
    /// Whether the client has sent `close_notify`.
    is_ended_by_client: bool,
    /// Whether clients are asked for certificates, which may be larger than a record.
    asks_for_certificate: bool,
    /// Whether it cannot go on.
    has_failed: bool,
}

impl Session {
    /// A session that waits for the client's first message.
    pub(crate) fn new(
        config: Arc<ServerConfig>,
        asks_for_certificate: bool,
    ) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config)?,
            incoming: Vec::with_capacity(limits::BUFFER_BYTES),
            consumed: 0,
            plain: Vec::new(),
            outgoing: Vec::new(),
            is_ended_by_client: false,
            asks_for_certificate,
            has_failed: false,
        })
    }

    /// Whether the handshake is not done.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the session was resumed; `None` before that is known.
    pub(crate) fn is_resumed(&self) -> Option<bool> {
        let kind = self.tls.handshake_kind()?;
        Some(kind == HandshakeKind::Resumed)
    }

    /// The names in the client's certificate, if it has presented one.
    pub(crate) fn identity(&self) -> Result<Option<ClientIdentity>, Failure> {
        let chain = self.tls.peer_certificates().unwrap_or_default();
        Ok(chain.first().map(ClientIdentity::of).transpose()?)
    }

    /// Whether the first received byte cannot be the beginning of TLS, but is that of an HTTP
    /// request. Methods are written in capital letters.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.incoming.first().is_some_and(u8::is_ascii_uppercase)
    }

    /// Whether [`Self::advance`] may have something to do: a whole record, or an invalid one.
    pub(crate) fn has_record(&self) -> bool {
        let unread = self.unread();
        unread
            .first()
            .is_some_and(|kind| *kind != HANDSHAKE_RECORD && self.is_handshaking())
            || self
                .record_bytes()
                .is_some_and(|record| unread.len() >= record)
    }

    fn unread(&self) -> &[u8] {
        self.incoming.get(self.consumed..).unwrap_or_default()
    }

    /// The length of the record that comes next, if that is known.
    fn record_bytes(&self) -> Option<usize> {
        match self.unread() {
            [_, _, _, high, low, ..] => {
                Some(HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low])))
            }
            _ => None,
        }
    }

    /// The most bytes that are received before some are processed.
    fn incoming_most(&self) -> usize {
        if self.asks_for_certificate && self.is_handshaking() {
            limits::TLS_HANDSHAKE_BYTES
        } else {
            limits::TLS_RECORD_BYTES
        }
    }

    /// The capacity that `incoming` needs for the next read.
    fn incoming_wanted(&self) -> usize {
        let unread = self.unread().len();
        let record = self.record_bytes().unwrap_or_default();
        record
            .max(unread + limits::BUFFER_BYTES / 4)
            .max(limits::BUFFER_BYTES)
            .min(self.incoming_most())
    }

    /// The memory by which `incoming` must grow for the next read, in bytes.
    pub(crate) fn growth(&self) -> usize {
        self.incoming_wanted()
            .saturating_sub(self.incoming.capacity())
    }

    /// Makes room in `incoming` for the next read.
    pub(crate) fn grow(&mut self) {
        if self.consumed > 0 {
            self.incoming.drain(..self.consumed);
            self.consumed = 0;
        }
        let (length, wanted) = (self.incoming.len(), self.incoming_wanted());
        self.incoming.reserve_exact(wanted.saturating_sub(length));
    }

    /// Takes the buffer for received bytes, with room for some more.
    ///
    /// # Errors
    /// [`Failure::TooLarge`] if there is no room, although nothing can be processed.
    pub(crate) fn take_incoming(&mut self) -> Result<Vec<u8>, Failure> {
        self.grow();
        if self.incoming.len() >= self.incoming_most() {
            return Err(Failure::TooLarge);
        }
        Ok(std::mem::take(&mut self.incoming))
    }

    /// Gives the buffer back.
    pub(crate) fn put_incoming(&mut self, incoming: Vec<u8>) {
        self.incoming = incoming;
    }

    /// Takes the records to send.
    pub(crate) fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Gives the buffer back after its records were sent. Its memory is kept if it is small.
    pub(crate) fn put_outgoing(&mut self, mut outgoing: Vec<u8>) {
        if outgoing.capacity() <= limits::BUFFER_BYTES {
            outgoing.clear();
            self.outgoing = outgoing;
        }
    }

    /// Whether there are records to send.
    pub(crate) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The memory of the buffers beyond their first sizes, in bytes.
    pub(crate) fn held(&self) -> usize {
        let grown = |buffer: &Vec<u8>| buffer.capacity().saturating_sub(limits::BUFFER_BYTES);
        grown(&self.incoming) + grown(&self.outgoing) + self.plain.capacity()
    }

    /// Frees memory that is not needed while nothing comes.
    pub(crate) fn shrink(&mut self) {
        if self.unread().is_empty() && self.incoming.capacity() > limits::BUFFER_BYTES {
            self.incoming = Vec::with_capacity(limits::BUFFER_BYTES);
            self.consumed = 0;
        }
        if self.plain.is_empty() {
            self.plain = Vec::new();
        }
    }

    /// Processes received records until there is plaintext, which is appended to `input` as far as
    /// that has room, or until nothing is left to process.
    ///
    /// # Errors
    /// [`Failure`]. What the client may know of it is in the records to send.
    pub(crate) fn advance(&mut self, input: &mut Vec<u8>) -> Result<Step, Failure> {
        let room = input.capacity() - input.len();
        if !self.plain.is_empty() {
            let taken = room.min(self.plain.len());
            input.extend(self.plain.drain(..taken));
            return Ok(Step::Plain(taken));
        }
        self.process(input)
    }

    /// As [`Self::advance`], but decrypts more although there is plaintext.
    fn process(&mut self, input: &mut Vec<u8>) -> Result<Step, Failure> {
        if self.has_failed {
            return Err(Failure::NotOpen);
        }
        let room = input.capacity() - input.len();
        loop {
            let Self {
                tls,
                incoming,
                consumed,
                ..
            } = self;
            let unread = incoming.get_mut(*consumed..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = tls.process_tls_records(unread);
            let step = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    let mut appended = 0;
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let room = input.capacity() - input.len();
                        let (now, later) = record
                            .payload
                            .split_at_checked(room)
                            .unwrap_or((record.payload, &[]));
                        input.extend_from_slice(now);
                        self.plain.extend_from_slice(later);
                        appended += record.payload.len();
                    }
                    // Records may be empty.
                    (appended > 0).then_some(Step::Plain(appended.min(room)))
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode_handshake(&mut data, &mut self.outgoing)?;
                    None
                }
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    // Sent by the caller before it waits for more.
                    sent.done();
                    None
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.is_ended_by_client = true;
                    Some(Step::End)
                }
                Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                    Some(if self.is_ended_by_client {
                        Step::End
                    } else {
                        Step::Receive
                    })
                }
                // Early data is never accepted, and no other state is known.
                Ok(_) => return Err(Failure::NotOpen),
                Err(error) => {
                    self.consumed += discard;
                    self.has_failed = true;
                    self.encode_alert();
                    return Err(error.into());
                }
            };
            self.consumed += discard;
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Encrypts a part of `output` into the records to send, and returns its length.
    ///
    /// # Errors
    /// [`Failure`]. What the client may know of it is in the records to send.
    pub(crate) fn encrypt(&mut self, output: &[u8]) -> Result<usize, Failure> {
        let part = output.get(..limits::TLS_WRITE_BYTES).unwrap_or(output);
        self.with_traffic(|traffic, free| traffic.encrypt(part, free))?;
        Ok(part.len())
    }

    /// Adds `close_notify` to the records to send.
    ///
    /// # Errors
    /// [`Failure`].
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method itself is not generic over the lifetime of its session"
    )]
    pub(crate) fn close(&mut self) -> Result<(), Failure> {
        self.with_traffic(|traffic, free| traffic.queue_close_notify(free))
    }

    /// Writes into the records to send once the session takes data.
    fn with_traffic(
        &mut self,
        mut write: impl FnMut(
            &mut WriteTraffic<'_, ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> Result<(), Failure> {
        // rustls gives what it has received before it takes data.
        while let Step::Plain(_) = self.process(&mut Vec::new())? {}
        let Self {
            tls,
            incoming,
            consumed,
            outgoing,
            ..
        } = self;
        let unread = incoming.get_mut(*consumed..).unwrap_or_default();
        let UnbufferedStatus { discard, state } = tls.process_tls_records(unread);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else {
            return Err(Failure::NotOpen);
        };
        encode(outgoing, |free| {
            write(&mut traffic, free).map_err(|error| match error {
                EncryptError::InsufficientSize(size) => Some(size.required_size),
                EncryptError::EncryptExhausted => None,
            })
        })?;
        *consumed += discard;
        Ok(())
    }

    /// Moves the alert for the last failure to the records to send.
    ///
    /// Nothing may be processed after a failure: rustls would find the same error again, and panics
    /// at a second alert. While it has bytes to send it gives these first.
    fn encode_alert(&mut self) {
        while self.tls.wants_write() {
            let state = self.tls.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else {
                return;
            };
            if encode_handshake(&mut data, &mut self.outgoing).is_err() {
                return;
            }
        }
    }
}

/// Moves bytes that rustls has prepared to `outgoing`.
fn encode_handshake<D>(
    data: &mut EncodeTlsData<'_, D>,
    outgoing: &mut Vec<u8>,
) -> Result<(), Failure> {
    encode(outgoing, |free| {
        data.encode(free).map_err(|error| match error {
            EncodeError::InsufficientSize(size) => Some(size.required_size),
            EncodeError::AlreadyEncoded => None,
        })
    })
}

/// Appends to `outgoing` what `write` writes into the free space that it is given. `write` returns
/// how many bytes it has written, or as an error how many it needs, if more would do.
fn encode(
    outgoing: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), Failure> {
    let filled = outgoing.len();
    // With no space the first call says how much is needed.
    let mut result = write(&mut []);
    if let Err(Some(needed)) = result {
        outgoing.reserve_exact(needed);
        outgoing.resize(filled + needed, 0);
        result = write(outgoing.get_mut(filled..).unwrap_or_default());
    }
    let written = result.unwrap_or_default();
    outgoing.truncate(filled + written);
    match result {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::NotOpen),
    }
}

#[cfg(test)]
mod tests;
