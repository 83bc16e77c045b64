//! Reading heads and bodies.

use std::{io, mem};

use talos_api::error::ApiError;
use talos_model::clock;

use super::buffer::out_of_memory;
use super::state::{Closed, Connection};
use crate::chunked::{ChunkError, ChunkedDecoder};
use crate::deadlines::{CoarseMillis, Phase};
use crate::limits;
use crate::parser::BodyLength;
use crate::response::CONTINUE;
use crate::step::MissingBody;
use crate::stream::{Arrived, Stream};

/// The result of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The requested bytes have arrived: some bytes, or a whole body.
    Enough,
    /// The client will send nothing more.
    End,
    /// The deadline of the phase has passed, or a drain has begun: read nothing more.
    TooLate,
    /// The request is refused; the answer is in the output.
    Refused,
}

/// How fast a body arrives.
struct Pace {
    /// The deadline of the whole body.
    end: CoarseMillis,
    /// The bytes that have arrived of the current stretch.
    bytes: usize,
}

impl<S: Stream> Connection<S> {
    /// Sends the output, then reads more of a head.
    pub(super) async fn receive_head(&mut self) -> Result<Received, Closed> {
        self.flush().await?;
        self.forget_answered();
        let now = self.core.now();
        let deadlines = self.core.live().deadlines;
        if self.input.is_empty() {
            self.shrink_stream();
            if !self.fresh {
                self.slot.enter(Phase::Idle, now, now.plus(deadlines.idle));
            }
        } else {
            let start = *self.head_start.get_or_insert(now);
            self.slot
                .enter(Phase::Head, start, start.plus(deadlines.head));
        }
        self.receive(self.core.live().heads.bytes + limits::BUFFER_BYTES)
            .await
    }

    /// Sends the output, then reads the body of the current request.
    pub(super) async fn receive_body(&mut self, missing: MissingBody) -> Result<Received, Closed> {
        if missing.send_continue {
            self.output.extend_from_slice(CONTINUE);
        }
        self.flush().await?;
        self.forget_answered();
        let mut pace = Pace {
            end: self.core.now().plus(self.core.live().deadlines.body),
            bytes: 0,
        };
        self.begin_stretch(&pace);
        let BodyLength::Known(length) = missing.length else {
            return self.receive_chunks(missing, pace).await;
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let end = missing.head.saturating_add(length);
        while self.input.len() < end {
            match self.receive_part(end, &mut pace).await? {
                Received::Enough => {}
                other => return Ok(other),
            }
        }
        Ok(Received::Enough)
    }

    /// Reads and decodes a chunked body. Removes its raw bytes from the input; the head stays.
    async fn receive_chunks(
        &mut self,
        missing: MissingBody,
        mut pace: Pace,
    ) -> Result<Received, Closed> {
        let mut decoder = ChunkedDecoder::new(missing.limit);
        // Decoded bytes are removed from the input, so it needs no more room than this.
        let most = missing.head + limits::BUFFER_BYTES;
        loop {
            let raw = self.input.len().saturating_sub(missing.head);
            if !self.make_body_room(raw, missing.limit) {
                return Ok(self.refuse_for_memory());
            }
            let raw = self.input.get(missing.head..).unwrap_or_default();
            match decoder.decode(raw, &mut self.body) {
                Ok(progress) => {
                    self.input
                        .drain(missing.head..missing.head + progress.consumed);
                    if progress.complete {
                        self.is_body_whole = true;
                        return Ok(Received::Enough);
                    }
                }
                Err(error) => {
                    let error = match error {
                        ChunkError::Malformed => ApiError::bad_request("malformed chunked body"),
                        ChunkError::TooLarge => ApiError::payload_too_large().limit(missing.limit),
                    };
                    self.refuse(&error);
                    return Ok(Received::Refused);
                }
            }
            match self.receive_part(most, &mut pace).await? {
                Received::Enough => {}
                other => return Ok(other),
            }
        }
    }

    /// Reads a part of a body.
    async fn receive_part(&mut self, most: usize, pace: &mut Pace) -> Result<Received, Closed> {
        let before = self.input.len();
        let received = self.receive(most).await?;
        pace.bytes += self.input.len().saturating_sub(before);
        if pace.bytes >= limits::BODY_PACE_BYTES {
            pace.bytes = 0;
            self.begin_stretch(pace);
        }
        Ok(received)
    }

    /// Sets the deadline for the next [`limits::BODY_PACE_BYTES`] of a body.
    fn begin_stretch(&self, pace: &Pace) {
        let now = self.core.now();
        let stretch = now.plus(self.core.live().deadlines.body_pace);
        self.slot.enter(Phase::Body, now, stretch.min(pace.end));
    }

    /// Reads once, before the deadline that the slot already has. `most` is the length of the input
    /// beyond which nothing is needed.
    pub(super) async fn receive(&mut self, most: usize) -> Result<Received, Closed> {
        if self.slot.is_read_closed() {
            return Ok(Received::TooLate);
        }
        loop {
            if !self.make_room(most) {
                return Ok(self.refuse_for_memory());
            }
            match self.read_once().await? {
                // The rest of it comes before the same deadline.
                Arrived::Part if !self.slot.is_read_closed() => {}
                Arrived::Part | Arrived::End if self.slot.is_read_closed() => {
                    return Ok(Received::TooLate);
                }
                Arrived::Part | Arrived::End => return Ok(Received::End),
                Arrived::Bytes(_) => {
                    self.now = clock::now();
                    return Ok(Received::Enough);
                }
            }
        }
    }

    /// Waits for bytes and appends them to the input.
    pub(super) async fn read_once(&mut self) -> Result<Arrived, Closed> {
        loop {
            let (result, input) = self.stream.read(mem::take(&mut self.input)).await;
            self.input = input;
            match result {
                Ok(arrived) => return Ok(arrived),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.give_up().await),
            }
        }
    }

    fn refuse_for_memory(&mut self) -> Received {
        self.core.metrics.overloads.increment();
        self.refuse(&out_of_memory());
        Received::Refused
    }
}
