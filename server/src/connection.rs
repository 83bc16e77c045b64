//! Serves one connection: reads, answers every complete request in one write, and repeats.
//!
//! Guarantees: answers have the order of the requests; nothing is read while a request waits for
//! another thread, so TCP slows down a client that sends faster than it is answered; a pending read
//! or write is never dropped; a panic in a handler ends its connection and nothing else.

mod buffer;
mod close;
mod receive;
mod reserved;
mod send;
mod state;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use close::Leftover;
use receive::Received;
pub(crate) use state::Peer;
use state::{Closed, Connection};
use talos_api::error::ApiError;
use talos_model::{Principal, clock};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::deadlines::Place;
use crate::metrics::Route;
use crate::parser::Persistence;
use crate::port::Port;
use crate::step::{ControlAnswer, Done, Input, Next};
use crate::stream::{Opened, Stream};
use crate::wait::{Dropped, NoAnswer, wait};
use crate::{dispatch, handover, limits, plain_on_tls};

/// Serves `stream`, which the listener of `port` accepted, in a task of its own.
pub(crate) fn spawn(
    core: &Rc<Core>,
    port: &Rc<Port>,
    stream: impl Stream,
    peer: Peer,
    place: Place,
) {
    core.metrics.connections.increment();
    let connection = Connection::new(core, port, stream, peer, place);
    match place {
        Place::Regular => {
            monoio::spawn(contained(Rc::clone(core), connection.serve()));
        }
        Place::Reserved => {
            core.metrics.connections_reserved.increment();
            monoio::spawn(contained(Rc::clone(core), connection.serve_reserved()));
        }
    }
}

/// Runs a connection so that a panic ends only this connection. [`Connection::guarded`] catches the
/// panics that can still be answered; this catches the others.
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
    // Why a connection ended early was counted where it was noticed.
    .unwrap_or(());
}

impl<S: Stream> Connection<S> {
    async fn serve(mut self) -> Result<(), Closed> {
        if S::HAS_HANDSHAKE {
            self.open().await?;
        }
        self.serve_requests().await
    }

    /// Opens the stream. If that fails, tells the client what it may know, and ends.
    async fn open(&mut self) -> Result<(), Closed> {
        match self.stream.open(&self.core, &self.slot).await {
            Opened::Ready => {
                self.count();
                self.principal = self.certified();
                return Ok(());
            }
            Opened::PlainHttp => {
                self.core.metrics.requests.count(Route::Malformed, 400);
                self.output.extend_from_slice(plain_on_tls::ANSWER);
                self.finish(Leftover::Possible).await?;
            }
            Opened::Refused => self.finish(Leftover::Possible).await?,
            Opened::Closed => {}
        }
        Err(Closed)
    }

    async fn serve_requests(mut self) -> Result<(), Closed> {
        loop {
            self.answer_start = self.output.len();
            let mut is_repeatable = true;
            let mut done = match self.guarded(dispatch::advance) {
                Next::Done(done) => done,
                Next::AwaitPosition(reaching) => {
                    self.reached = Some(self.wait_for(reaching).await?);
                    continue;
                }
                Next::AwaitControl(reply, mut pending) => {
                    self.forget_handed_over(&mut pending);
                    is_repeatable = matches!(pending.method, "GET" | "HEAD");
                    let response = self.wait_for(reply).await?;
                    let answer: ControlAnswer = self.guarded(|core, _, output| {
                        handover::answer(core, &pending, response, output)
                    });
                    self.send_rest(answer).await?
                }
                Next::AwaitRead(loaded, pending) => {
                    let loaded = self.wait_for(loaded).await?;
                    self.guarded(|core, input, output| {
                        dispatch::finish_read(core, input, pending, loaded, output)
                    })
                }
                Next::AwaitBatch(mut batch, started) => {
                    self.handed_over = batch.memory();
                    self.count();
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
                    Received::Refused => Done::Refused,
                    _ => return self.finish(Leftover::None).await,
                },
                Next::NeedBody(missing) => match self.receive_body(missing).await? {
                    Received::Enough => continue,
                    Received::TooLate => return self.time_out().await,
                    Received::Refused => Done::Refused,
                    Received::End => return self.finish(Leftover::None).await,
                },
            };
            if self.output.capacity() > limits::BUFFER_KEPT_BYTES
                && is_repeatable
                && !self.may_hold(self.capacity())
            {
                self.refuse_answer();
                done = Done::Refused;
            }
            let Done::Answered {
                consumed,
                persistence,
            } = done
            else {
                return self.finish(Leftover::Possible).await;
            };
            self.answered += consumed;
            self.end_request();
            if persistence == Persistence::Close {
                // During a drain the client may already have sent another request.
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
                // The write may have taken long; later requests need the current time.
                self.now = clock::now();
            }
        }
    }

    /// The principal that the client's certificate proves.
    fn certified(&self) -> Option<Arc<Principal>> {
        let live = self.core.live();
        let access = live.access.as_ref()?;
        access.of_certificate(self.stream.identity()?)
    }

    /// Runs one step of the current request. A panic in it becomes a 500.
    fn guarded<R: From<Done>>(
        &mut self,
        step: impl FnOnce(&Core, Input<'_>, &mut Vec<u8>) -> R,
    ) -> R {
        let input = Input {
            port: &self.port,
            bytes: self.input.get(self.answered..).unwrap_or_default(),
            decoded: self.is_body_whole.then_some(&*self.body),
            reached: self.reached.as_ref(),
            remote_ip: self.remote_ip,
            principal: self.principal.as_ref(),
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

    /// Forgets what belongs to the current request, which was answered.
    fn end_request(&mut self) {
        self.reached = None;
        self.head_start = None;
        if self.fresh {
            self.fresh = false;
            self.slot.set_proven();
        }
        self.is_body_whole = false;
        if self.body.capacity() > 0 || self.handed_over > 0 {
            self.body = Vec::new();
            self.handed_over = 0;
            self.count();
        }
        if self.answered > limits::BUFFER_KEPT_BYTES {
            self.forget_answered();
        }
    }

    /// Sends the output, then waits for another thread.
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

    /// Answers the current request with `error`, although not all of it was read.
    fn refuse(&mut self, error: &ApiError) {
        self.guarded(|core, input, output| {
            dispatch::refuse(core, input, error, output);
            Done::Refused
        });
    }
}

/// Runs `step`. When it panics, removes what it has appended to `output` and returns `None`.
fn all_or_nothing<R>(output: &mut Vec<u8>, step: impl FnOnce(&mut Vec<u8>) -> R) -> Option<R> {
    let before = output.len();
    let result = catch_unwind(AssertUnwindSafe(|| step(output)));
    if result.is_err() {
        output.truncate(before);
    }
    result.ok()
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
}
