//! The byte stream to the other node.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::clock::now_ms;
use crate::limits::SILENCE_MS;

/// The most bytes of one read.
const INPUT_BYTES: usize = 64 << 10;
/// With no more than this many bytes unsent, more may be added.
const ROOM_BYTES: usize = 16 << 10;
/// How long closing may take: until the rest is sent and the other side has closed.
const CLOSE: Duration = Duration::from_secs(1);

/// Both directions of a connection.
pub(super) struct Transport<S> {
    pub(super) reader: ReadHalf<S>,
    pub(super) writer: WriteHalf<S>,
    pub(super) input: Box<[u8]>,
    pub(super) outbox: Outbox,
}

impl<S: AsyncRead + AsyncWrite> Transport<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            outbox: Outbox::default(),
        }
    }

    /// Sends the rest and closes. Reads on until the other side has closed as well: closing a
    /// socket with unread input resets the connection, and the other side would lose the reason.
    pub(super) async fn close(self) {
        let Self {
            mut reader,
            mut writer,
            mut input,
            mut outbox,
        } = self;
        let closed = async {
            while outbox.is_waiting() {
                outbox.send(&mut writer).await?;
            }
            writer.shutdown().await?;
            while reader.read(&mut input).await? > 0 {}
            io::Result::Ok(())
        };
        // The connection is over even if this fails.
        let _ = timeout(CLOSE, closed).await;
    }
}

/// The bytes to send.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Whether the stream may still buffer bytes.
    unflushed: bool,
    /// When bytes last left, or when the first of these were added.
    moved_ms: u64,
}

impl Outbox {
    /// The buffer to append to.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if !self.is_waiting() {
            self.moved_ms = now_ms();
        }
        self.bytes.drain(..self.sent);
        self.sent = 0;
        &mut self.bytes
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.sent < self.bytes.len() || self.unflushed
    }

    /// Whether few enough bytes wait that more may be added.
    pub(super) fn has_room(&self) -> bool {
        self.bytes.len() - self.sent <= ROOM_BYTES
    }

    /// Whether the other side has accepted nothing for [`SILENCE_MS`].
    pub(super) fn is_stuck(&self, now_ms: u64) -> bool {
        self.is_waiting() && now_ms.saturating_sub(self.moved_ms) > SILENCE_MS
    }

    /// Sends some of the bytes, or flushes. Cancel safe.
    pub(super) async fn send(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let rest = self.bytes.get(self.sent..).unwrap_or_default();
        if rest.is_empty() {
            writer.flush().await?;
            self.unflushed = false;
        } else {
            let count = writer.write(rest).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += count;
            self.unflushed = true;
        }
        self.moved_ms = now_ms();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_added_while_some_has_left_arrives_in_order() {
        let (mut near, mut far) = tokio::io::duplex(4);
        let mut outbox = Outbox::default();
        outbox.buffer().extend_from_slice(b"one two ");
        outbox.send(&mut near).await.unwrap();
        outbox.buffer().extend_from_slice(b"three");
        let mut arrived = Vec::new();
        let mut piece = [0; 3];
        while outbox.is_waiting() {
            tokio::select! {
                sent = outbox.send(&mut near) => sent.unwrap(),
                read = far.read(&mut piece) => arrived.extend_from_slice(&piece[..read.unwrap()]),
            }
        }
        drop(near);
        far.read_to_end(&mut arrived).await.unwrap();
        assert_eq!(arrived, b"one two three");
    }

    #[tokio::test]
    async fn who_takes_nothing_for_long_is_noticed() {
        let (mut near, _far) = tokio::io::duplex(4);
        let mut outbox = Outbox::default();
        assert!(!outbox.is_stuck(u64::MAX), "nothing waits");
        outbox.buffer().resize(ROOM_BYTES + 4, 0);
        assert!(!outbox.has_room());
        outbox.send(&mut near).await.unwrap();
        assert!(outbox.has_room(), "the stream has taken four bytes");
        let moved_ms = outbox.moved_ms;
        assert!(!outbox.is_stuck(moved_ms + SILENCE_MS));
        assert!(outbox.is_stuck(moved_ms + SILENCE_MS + 1));
    }
}
