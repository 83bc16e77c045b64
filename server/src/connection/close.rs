//! Ending a connection so that the client gets the last answer.

use std::net::Shutdown;

use talos_api::error::ApiError;

use super::receive::Received;
use super::state::{Closed, Connection};
use crate::deadlines::{Phase, shut_down};
use crate::limits;
use crate::stream::{Arrived, Stream};

/// Whether the client may still send bytes. Closing a socket with unread bytes resets the
/// connection, and the client may lose the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    None,
    Possible,
}

impl<S: Stream> Connection<S> {
    /// Answers 408 to a request that did not arrive in time, and ends the connection.
    ///
    /// The read side is already shut down. In this state the kernel still queues what arrives. It
    /// resets the connection if bytes arrive after we shut down the write side, or if unread bytes
    /// are queued when the socket is closed, and a reset may overtake the answer. So this reads and
    /// drops bytes for the time of `Deadlines::linger` and closes last (RFC 9112 §9.6). It always
    /// waits the whole time, because in this state a read does not show whether the client has
    /// closed.
    pub(super) async fn time_out(&mut self) -> Result<(), Closed> {
        self.refuse(&ApiError::timeout());
        self.flush().await?;
        self.end_stream().await?;
        self.forget_all();
        self.linger();
        let mut dropped = 0;
        while dropped < self.core.live().bodies.dropped_after_error() {
            // Checked before the read, so that the read gets the bytes that came before the cut.
            let last = self.slot.is_cut();
            self.input.clear();
            if self.read_once().await? != Arrived::End {
                dropped += self.input.len();
                continue;
            }
            if last {
                break;
            }
            monoio::time::sleep(limits::TICK).await;
        }
        Ok(())
    }

    /// Tells a client within TLS that the answers are complete.
    async fn end_stream(&mut self) -> Result<(), Closed> {
        if !S::HAS_HANDSHAKE {
            return Ok(());
        }
        let now = self.core.now();
        self.slot.enter(
            Phase::Write,
            now,
            now.plus(self.core.live().deadlines.write),
        );
        self.stream.end().await.map_err(|_| Closed)
    }

    /// After an error of reading, tells a client within TLS what was wrong, if that is known.
    pub(super) async fn give_up(&mut self) -> Closed {
        // A stream that has failed sends no more than an alert.
        let _ = self.end_stream().await;
        Closed
    }

    fn linger(&self) {
        let now = self.core.now();
        let linger = self.core.live().deadlines.linger;
        self.slot.enter(Phase::Linger, now, now.plus(linger));
    }

    /// Sends the output and ends the connection.
    pub(super) async fn finish(&mut self, leftover: Leftover) -> Result<(), Closed> {
        self.flush().await?;
        self.end_stream().await?;
        if leftover == Leftover::None {
            return Ok(());
        }
        // Tells the client that this was the last answer, then reads and drops what it still sends.
        self.forget_all();
        shut_down(self.stream.as_raw_fd(), Shutdown::Write);
        self.linger();
        let mut dropped = 0;
        while dropped < self.core.live().bodies.dropped_after_error() {
            self.input.clear();
            match self.receive(limits::BUFFER_BYTES).await? {
                Received::Enough => dropped += self.input.len(),
                _ => break,
            }
        }
        Ok(())
    }
}
