//! Reading heads and bodies.

use std::{io, mem};

use monoio::buf::SliceMut;
use talos_api::error::ApiError;
use talos_model::clock;

use super::buffer::emptied;
use super::state::{Closed, Connection, Stream};
use crate::chunked::{ChunkError, ChunkedDecoder};
use crate::deadlines::Phase;
use crate::limits;
use crate::parser::BodyLength;
use crate::response::CONTINUE;
use crate::step::MissingBody;

/// The result of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The requested bytes have arrived: some bytes, or a whole body.
    Enough,
    /// The client will send nothing more.
    End,
    /// The deadline of the phase has passed, or a drain has begun: read nothing more.
    TooLate,
    /// The body is refused; the answer is in the output.
    Refused,
}

impl<S: Stream> Connection<S> {
    /// Sends the output, then reads more of a head.
    pub(super) async fn receive_head(&mut self) -> Result<Received, Closed> {
        self.flush().await?;
        self.forget_answered();
        let now = self.core.now();
        let deadlines = &self.core.shared.deadlines;
        if !self.input.is_empty() {
            let deadline = *self
                .head_deadline
                .get_or_insert_with(|| now.plus(deadlines.head));
            self.slot.enter(Phase::Head, deadline);
        } else if !self.fresh {
            self.slot.enter(Phase::Idle, now.plus(deadlines.idle));
        }
        self.receive().await
    }

    /// Sends the output, then reads the body of the current request.
    pub(super) async fn receive_body(&mut self, missing: MissingBody) -> Result<Received, Closed> {
        let length = match missing.length {
            BodyLength::Known(length) => usize::try_from(length).unwrap_or(usize::MAX),
            BodyLength::Chunked => missing.limit,
        };
        self.claim = self.core.claim_body(length);
        if self.claim.is_none() {
            self.core.metrics.overloads.increment();
            self.refuse(&ApiError::service_unavailable(
                "too many large bodies are on their way; try again",
            ));
            return Ok(Received::Refused);
        }
        if missing.send_continue {
            self.output.extend_from_slice(CONTINUE);
        }
        self.flush().await?;
        self.forget_answered();
        let deadline = self.core.now().plus(self.core.shared.deadlines.body);
        self.slot.enter(Phase::Body, deadline);
        if missing.length == BodyLength::Chunked {
            return self.receive_chunks(missing).await;
        }
        let end = missing.head.saturating_add(length);
        while self.input.len() < end {
            match self.receive().await? {
                Received::Enough => {}
                other => return Ok(other),
            }
        }
        Ok(Received::Enough)
    }

    /// Reads and decodes a chunked body. Removes its raw bytes from the input; the head stays.
    async fn receive_chunks(&mut self, missing: MissingBody) -> Result<Received, Closed> {
        let mut decoder = ChunkedDecoder::new(missing.limit);
        let mut body = Vec::new();
        loop {
            let raw = self.input.get(missing.head..).unwrap_or_default();
            match decoder.decode(raw, &mut body) {
                Ok(progress) => {
                    self.input
                        .drain(missing.head..missing.head + progress.consumed);
                    if progress.complete {
                        self.body = Some(body);
                        return Ok(Received::Enough);
                    }
                }
                Err(error) => {
                    let error = match error {
                        ChunkError::Malformed => ApiError::bad_request("malformed chunked body"),
                        ChunkError::TooLarge => ApiError::payload_too_large(),
                    };
                    self.refuse(&error);
                    return Ok(Received::Refused);
                }
            }
            match self.receive().await? {
                Received::Enough => {}
                other => return Ok(other),
            }
        }
    }

    /// Reads once, before the deadline that the slot already has.
    pub(super) async fn receive(&mut self) -> Result<Received, Closed> {
        if self.slot.is_read_closed() {
            return Ok(Received::TooLate);
        }
        match self.read_once().await? {
            0 if self.slot.is_read_closed() => Ok(Received::TooLate),
            0 => Ok(Received::End),
            _ => {
                self.now = clock::now();
                Ok(Received::Enough)
            }
        }
    }

    /// Waits for bytes and appends them to the input. Returns their number, 0 at the end.
    pub(super) async fn read_once(&mut self) -> Result<usize, Closed> {
        loop {
            if self.input.capacity() - self.input.len() < limits::BUFFER_BYTES / 4 {
                // `reserve` at least doubles the capacity, so receiving a body of n bytes copies
                // O(n) bytes in all.
                self.input.reserve(limits::BUFFER_BYTES);
            }
            let input = mem::take(&mut self.input);
            let (filled, capacity) = (input.len(), input.capacity());
            let (result, slice) = self
                .stream
                .read(SliceMut::new(input, filled, capacity))
                .await;
            self.input = slice.into_inner();
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(|_| Closed),
            }
        }
    }

    /// Removes the answered requests from the input.
    fn forget_answered(&mut self) {
        if self.answered >= self.input.len() {
            self.input = emptied(mem::take(&mut self.input));
        } else {
            self.input.drain(..self.answered);
        }
        self.answered = 0;
    }
}
