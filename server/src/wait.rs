//! Waiting on a core for what another thread sends.
//!
//! Guarantees: the wait never blocks the core; it ends when the answer comes, when the other thread
//! drops the request, and when the connection is cut. At most one chunk of a streamed body is held
//! here.

use std::pin::Pin;
use std::task::{Context, Poll};

use talos_api::control::{BodyStream, Chunk};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::deadlines::{CoarseMillis, Phase, Slot};

/// The other thread dropped the request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped;

/// Why a wait ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The other thread dropped the request.
    Dropped,
    /// The connection was cut.
    Cut,
}

/// Waits for another thread's answer to the request of the connection at `slot`.
pub(crate) async fn wait<T>(slot: &Slot, receiver: oneshot::Receiver<T>) -> Result<T, NoAnswer> {
    slot.enter(Phase::Wait, CoarseMillis::NEVER, CoarseMillis::NEVER);
    let answer = Waiting { slot, receiver }.await;
    slot.clear_waker();
    answer
}

struct Waiting<'s, T> {
    slot: &'s Slot,
    receiver: oneshot::Receiver<T>,
}

impl<T> Future for Waiting<'_, T> {
    type Output = Result<T, NoAnswer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.slot.is_cut() {
            return Poll::Ready(Err(NoAnswer::Cut));
        }
        self.slot.set_waker(context.waker());
        Pin::new(&mut self.receiver)
            .poll(context)
            .map_err(|_| NoAnswer::Dropped)
    }
}

/// The result of waiting for the next chunk of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NextChunk {
    /// The body stream gave a chunk, or its end.
    Chunk(Chunk),
    /// The server is told to stop.
    Drain,
    /// The connection was cut.
    Cut,
}

/// Waits for the next chunk of the answer to the request of the connection at `slot`.
pub(crate) async fn next_chunk(core: &Core, slot: &Slot, body: &mut BodyStream) -> NextChunk {
    slot.enter(Phase::AwaitChunk, CoarseMillis::NEVER, CoarseMillis::NEVER);
    let next = WaitingForChunk { core, slot, body }.await;
    slot.clear_waker();
    next
}

struct WaitingForChunk<'s> {
    core: &'s Core,
    slot: &'s Slot,
    body: &'s mut BodyStream,
}

impl Future for WaitingForChunk<'_> {
    type Output = NextChunk;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<NextChunk> {
        if self.slot.is_cut() {
            return Poll::Ready(NextChunk::Cut);
        }
        // Every tick wakes this task, so it sees a drain within one tick.
        if self.core.is_draining() {
            return Poll::Ready(NextChunk::Drain);
        }
        self.slot.set_waker(context.waker());
        self.body.chunks.poll_chunk(context).map(NextChunk::Chunk)
    }
}
