//! Sending answers, whole or chunk by chunk.
//!
//! Guarantees for a streamed body: the next chunk is requested only after the one before was sent,
//! so a client that reads slowly slows down the producer, and no chunk is queued here; each chunk
//! has its own deadline; the producer notices the end of the connection because its
//! [`BodyStream`](talos_api::control::BodyStream) is dropped; the next request on the connection
//! waits until the last chunk is sent.

use std::mem;

use talos_api::control::{Chunk, Ending};

use super::state::{Closed, Connection};
use crate::deadlines::Phase;
use crate::limits;
use crate::parser::Persistence;
use crate::step::{ControlAnswer, Done, Streamed};
use crate::stream::Stream;
use crate::wait::{NextChunk, next_chunk};

impl<S: Stream> Connection<S> {
    /// Sends the output in one write.
    pub(super) async fn flush(&mut self) -> Result<(), Closed> {
        self.flush_in(Phase::Write).await
    }

    /// Sends the output in one write, which is timed as `phase`.
    async fn flush_in(&mut self, phase: Phase) -> Result<(), Closed> {
        if self.output.is_empty() {
            return Ok(());
        }
        let now = self.core.now();
        self.slot
            .enter(phase, now, now.plus(self.core.live().deadlines.write));
        self.answer_start = 0;
        let capacity = self.output.capacity();
        let meanwhile = S::write_memory(self.output.len());
        if capacity > limits::BUFFER_BYTES || meanwhile > 0 {
            self.slot.hold_anyway(self.capacity() + meanwhile);
        }
        let (result, output) = self.stream.write_all(mem::take(&mut self.output)).await;
        self.output = self.emptied(output);
        if self.output.capacity() != capacity || meanwhile > 0 {
            self.count();
        }
        result.map_err(|_| Closed)
    }

    /// Sends the output and the rest of a streamed body. The head and the beginning of the body are
    /// in the output.
    pub(super) async fn send_rest(&mut self, answer: ControlAnswer) -> Result<Done, Closed> {
        let ControlAnswer { done, rest } = answer;
        let Some(Streamed { mut body, framing }) = rest else {
            return Ok(done);
        };
        loop {
            self.flush_in(Phase::SendChunk).await?;
            match next_chunk(&self.core, &self.slot, &mut body).await {
                NextChunk::Chunk(Chunk::Bytes(bytes)) => framing.append(&bytes, &mut self.output),
                NextChunk::Chunk(Chunk::End) => {
                    framing.append_end(&mut self.output);
                    return Ok(done);
                }
                NextChunk::Drain if body.ending == Ending::AfterAnyChunk => {
                    framing.append_end(&mut self.output);
                    return Ok(closing(done));
                }
                // Without the last chunk the client sees that the answer is incomplete.
                NextChunk::Chunk(Chunk::Broken) | NextChunk::Drain | NextChunk::Cut => {
                    return Err(Closed);
                }
            }
        }
    }
}

fn closing(done: Done) -> Done {
    match done {
        Done::Answered { consumed, .. } => Done::Answered {
            consumed,
            persistence: Persistence::Close,
        },
        Done::Refused => done,
    }
}
