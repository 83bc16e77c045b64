//! One connection: read, answer everything that is complete in one write, repeat.
//!
//! Guarantees: answers leave in the order of the requests; nothing is read while a request waits for another thread, so a
//! client that sends faster than it is answered is slowed down by TCP; a pending read or write is never dropped; a panic in
//! a handler costs its connection and nothing else.

mod rest;

use std::io;
use std::mem;
use std::net::{IpAddr, Shutdown};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use monoio::buf::SliceMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt};
use talos_api::error::ApiError;
use talos_engine::clock::{self, UnixMillis};
use tokio::sync::oneshot;

use crate::chunked::{ChunkError, ChunkedDecoder};
use crate::core::{BodyClaim, Core};
use crate::deadlines::{CoarseMillis, Phase, Registered, shut_down};
use crate::dispatch::{self, Done, Input, MissingBody, Next};
use crate::handover::{Dropped, Finished, NoAnswer, wait};
use crate::limits;
use crate::parser::{BodyLength, Persistence};
use crate::position::Reached;
use crate::response::CONTINUE;

/// What a connection is made of: a TCP stream or one of a Unix socket.
pub(crate) trait Stream: AsyncReadRent + AsyncWriteRent + AsRawFd + 'static {}

impl<S: AsyncReadRent + AsyncWriteRent + AsRawFd + 'static> Stream for S {}

/// Serves `stream` in a task of its own. Over a Unix socket nobody knows the address of `peer`.
pub(crate) fn spawn(core: &Rc<Core>, stream: impl Stream, peer: Option<IpAddr>) {
    core.metrics.connections.increment();
    // A new connection has as long for its first byte as for a head.
    let deadline = core.now().plus(core.shared.deadlines.head);
    let connection = Connection {
        slot: core
            .connections
            .register(stream.as_raw_fd(), Phase::Idle, deadline),
        stream,
        remote_ip: peer.map(|address| address.to_canonical()),
        core: Rc::clone(core),
        input: Vec::with_capacity(limits::BUFFER_BYTES),
        answered: 0,
        body: None,
        claim: None,
        reached: None,
        output: Vec::with_capacity(limits::BUFFER_BYTES),
        now: clock::now(),
        head_deadline: None,
        fresh: true,
    };
    monoio::spawn(contained(Rc::clone(core), connection.serve()));
}

/// Runs a connection so that a panic ends it alone. What [`Connection::guarded`] does not catch is caught here, where
/// nobody can be answered any more.
async fn contained(core: Rc<Core>, connection: impl Future<Output = Result<(), Closed>>) {
    let mut connection = pin!(connection);
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context))).unwrap_or_else(|_| {
            core.metrics.panics.increment();
            tracing::error!("a connection panicked");
            Poll::Ready(Ok(()))
        })
    })
    .await
    // A connection that ends early has had its reasons counted where they were found.
    .unwrap_or(());
}

/// The connection ended before all was said.
struct Closed;

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Received {
    /// What was asked for: some bytes, or a whole body.
    Enough,
    /// The client will send nothing more.
    End,
    /// The deadline of the phase has passed, or a drain has begun: nothing more is read.
    TooLate,
    /// Not a body; the answer is in the output.
    Refused,
}

/// Whether bytes may come that nobody will read. A socket that is closed over them resets the connection, and the client
/// may lose the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leftover {
    None,
    Possible,
}

struct Connection<S> {
    /// Dropped before the socket that it names.
    slot: Registered,
    stream: S,
    remote_ip: Option<IpAddr>,
    core: Rc<Core>,
    /// Received bytes, up to `answered` of them done with.
    input: Vec<u8>,
    answered: usize,
    /// The decoded body of the request at `answered`, if it came in chunks and is complete.
    body: Option<Vec<u8>>,
    /// The memory for a body that did not come together with its head.
    claim: Option<BodyClaim>,
    /// What came of waiting for the position that the request at `answered` demands, if it had to wait.
    reached: Option<Result<Reached, Dropped>>,
    /// Answers not yet sent.
    output: Vec<u8>,
    /// When something last arrived, from the client or from another thread.
    now: UnixMillis,
    /// By when the head that is being read must be complete.
    head_deadline: Option<CoarseMillis>,
    /// Whether the connection waits for its first request, for which its slot already has the deadline.
    fresh: bool,
}

impl<S: Stream> Connection<S> {
    async fn serve(mut self) -> Result<(), Closed> {
        loop {
            let done = match self.guarded(dispatch::advance) {
                Next::Done(done) => done,
                Next::Reach(reaching) => {
                    self.reached = Some(self.wait_for(reaching).await?);
                    continue;
                }
                Next::Control(reply, asked) => {
                    let response = self.wait_for(reply).await?;
                    let finished: Finished = self.guarded(|core, input, output| {
                        dispatch::finish_control(core, input, &asked, response, output)
                    });
                    self.send_rest(finished).await?
                }
                Next::Read(loaded, asked) => {
                    let loaded = self.wait_for(loaded).await?;
                    self.guarded(|core, input, output| {
                        dispatch::finish_read(core, input, asked, loaded, output)
                    })
                }
                Next::ReadMany(mut batch, started) => {
                    while let Some((place, read)) = batch.next_read() {
                        let loaded = self.wait_for(read).await?;
                        batch.take(place, loaded);
                    }
                    self.guarded(|core, input, output| {
                        dispatch::finish_batch(core, input, started, batch, output)
                    })
                }
                Next::NeedHead => match self.receive_head().await? {
                    Received::Enough => continue,
                    Received::TooLate if !self.input.is_empty() => return self.time_out().await,
                    _ => return Ok(()),
                },
                Next::NeedBody(missing) => match self.receive_body(missing).await? {
                    Received::Enough => continue,
                    Received::TooLate => return self.time_out().await,
                    Received::Refused => Done::Refused,
                    Received::End => return Ok(()),
                },
            };
            let Done::Answered {
                consumed,
                persistence,
            } = done
            else {
                return self.finish(Leftover::Possible).await;
            };
            self.answered += consumed;
            self.body = None;
            self.claim = None;
            self.reached = None;
            self.head_deadline = None;
            self.fresh = false;
            if persistence == Persistence::Close {
                // While draining, the client may not have known that this was its last request.
                let more = self.answered < self.input.len() || self.core.is_draining();
                return self
                    .finish(if more {
                        Leftover::Possible
                    } else {
                        Leftover::None
                    })
                    .await;
            }
            if self.output.len() >= limits::OUTPUT_BYTES {
                self.flush().await?;
                // A client that reads slowly must not have the rest judged by an old clock.
                self.now = clock::now();
            }
        }
    }

    /// Runs one step of the request at hand. A panic in it becomes a 500.
    fn guarded<R: From<Done>>(
        &mut self,
        step: impl FnOnce(&Core, Input<'_>, &mut Vec<u8>) -> R,
    ) -> R {
        let input = Input {
            bytes: self.input.get(self.answered..).unwrap_or_default(),
            decoded: self.body.as_deref(),
            reached: self.reached.as_ref(),
            remote_ip: self.remote_ip,
            now: self.now,
        };
        let (core, output) = (&self.core, &mut self.output);
        all_or_nothing(output, |output| step(core, input, output)).unwrap_or_else(|| {
            core.metrics.panics.increment();
            tracing::error!("a request handler panicked");
            dispatch::refuse(core, input, &ApiError::internal(), output);
            Done::Refused.into()
        })
    }

    /// Sends what is ready, then waits for another thread.
    async fn wait_for<T>(
        &mut self,
        receiver: oneshot::Receiver<T>,
    ) -> Result<Result<T, Dropped>, Closed> {
        self.flush().await?;
        let answer = match wait(&self.slot, receiver).await {
            Ok(answer) => Ok(answer),
            Err(NoAnswer::Dropped) => Err(Dropped),
            Err(NoAnswer::Cut) => return Err(Closed),
        };
        self.now = clock::now();
        Ok(answer)
    }

    /// Sends what is ready, then reads more of a head.
    async fn receive_head(&mut self) -> Result<Received, Closed> {
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

    /// Sends what is ready, then reads the body of the request at hand.
    async fn receive_body(&mut self, missing: MissingBody) -> Result<Received, Closed> {
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

    /// Reads and decodes a chunked body. Its raw bytes leave the input as they are decoded, the head stays.
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

    /// Reads once, within the deadline that the slot already has.
    async fn receive(&mut self) -> Result<Received, Closed> {
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

    /// Appends what has arrived, or waits for it; the number of bytes, 0 at the end.
    async fn read_once(&mut self) -> Result<usize, Closed> {
        loop {
            if self.input.capacity() - self.input.len() < limits::BUFFER_BYTES / 4 {
                // At least doubles, so that a body of n bytes is copied O(n) times in all.
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

    /// Sends what is ready in one write.
    async fn flush(&mut self) -> Result<(), Closed> {
        self.flush_in(Phase::Write).await
    }

    /// The same in a phase of its own.
    async fn flush_in(&mut self, phase: Phase) -> Result<(), Closed> {
        if self.output.is_empty() {
            return Ok(());
        }
        self.slot.enter(
            phase,
            self.core.now().plus(self.core.shared.deadlines.write),
        );
        let (result, output) = self.stream.write_all(mem::take(&mut self.output)).await;
        self.output = emptied(output);
        result.map(|_| ()).map_err(|_| Closed)
    }

    /// Moves what is not answered to the front of the input.
    fn forget_answered(&mut self) {
        if self.answered >= self.input.len() {
            self.input = emptied(mem::take(&mut self.input));
        } else {
            self.input.drain(..self.answered);
        }
        self.answered = 0;
    }

    /// Answers the request at hand with `error`, although not all of it was read.
    fn refuse(&mut self, error: &ApiError) {
        self.guarded(|core, input, output| {
            dispatch::refuse(core, input, error, output);
            Done::Refused
        });
    }

    /// 408 to a request that did not arrive in time, and the end of the connection.
    ///
    /// The read side is shut down already. From then on the kernel keeps what arrives, but resets the connection when
    /// something arrives after our own end, or is there unread when the socket closes; a reset may overtake the answer.
    /// So what still comes is dropped for a while (RFC 9112 §9.6), and our end comes last. Whether the client has
    /// closed cannot be seen in this state: the whole time is waited.
    async fn time_out(&mut self) -> Result<(), Closed> {
        self.refuse(&ApiError::timeout());
        self.flush().await?;
        self.slot
            .enter(Phase::Linger, self.core.now().plus(limits::LINGER));
        let mut dropped = 0;
        while dropped < limits::LINGER_BYTES {
            // Asked first, so that the read sees what came before the cut.
            let last = self.slot.is_cut();
            self.input.clear();
            if self.read_once().await? > 0 {
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

    /// Sends what is ready and ends the connection.
    async fn finish(&mut self, leftover: Leftover) -> Result<(), Closed> {
        self.flush().await?;
        if leftover == Leftover::None {
            return Ok(());
        }
        // The client learns that there is no more, while what it still sends is read and dropped for a while.
        shut_down(self.stream.as_raw_fd(), Shutdown::Write);
        self.slot
            .enter(Phase::Linger, self.core.now().plus(limits::LINGER));
        let mut dropped = 0;
        while dropped < limits::LINGER_BYTES {
            self.input.clear();
            match self.receive().await? {
                Received::Enough => dropped += self.input.len(),
                _ => break,
            }
        }
        Ok(())
    }
}

/// Runs `step`. When it panics, what it has appended to `output` is taken back and there is no result.
fn all_or_nothing<R>(output: &mut Vec<u8>, step: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
    let before = output.len();
    let result = catch_unwind(AssertUnwindSafe(|| step(output)));
    if result.is_err() {
        output.truncate(before);
    }
    result.ok()
}

/// `buffer` without its contents, and without its memory if that has grown large.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > limits::BUFFER_KEPT_BYTES {
        return Vec::with_capacity(limits::BUFFER_BYTES);
    }
    buffer.clear();
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_an_answer_is_taken_back() {
        let mut output = b"whole".to_vec();
        let result = all_or_nothing(&mut output, |output| {
            output.extend_from_slice(b"half");
            assert!(output.is_empty(), "planned");
        });
        assert_eq!((result, &*output), (None, &b"whole"[..]));
        assert_eq!(
            all_or_nothing(&mut output, |output| output.push(b'!')),
            Some(())
        );
        assert_eq!(output, b"whole!");
    }

    #[test]
    fn large_buffers_are_given_back() {
        assert!(emptied(vec![0; 100]).capacity() >= 100);
        let large = emptied(vec![0; limits::BUFFER_KEPT_BYTES + 1]);
        assert_eq!((large.len(), large.capacity()), (0, limits::BUFFER_BYTES));
    }
}
