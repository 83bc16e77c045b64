//! Streamed bodies: the end at which an action produces the chunks.
//!
//! Guarantees: at most [`limits::CHUNKS_WAITING`] chunks wait for the client, and a sender waits
//! until there is room; a sender notices when the client is gone; a body whose sender is dropped
//! without [`BodySender::end`], as after a panic, is broken off and not complete.

use std::task::{Context, Poll};

use talos_api::control::{BodyStream, Chunk, Chunks, Ending};
use tokio::sync::mpsc;

use crate::limits;

/// The receiver of the chunks is gone: the client has closed the connection, or the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Sends the chunks of one body.
pub(crate) struct BodySender(mpsc::Sender<Chunk>);

/// A sender, and the body that consists of what it sends.
pub(crate) fn channel(ending: Ending) -> (BodySender, BodyStream) {
    let (sender, receiver) = mpsc::channel(limits::CHUNKS_WAITING);
    let chunks = Box::new(Received(receiver));
    (BodySender(sender), BodyStream { chunks, ending })
}

impl BodySender {
    /// Sends a chunk. Waits until there is room.
    ///
    /// # Errors
    /// [`Gone`] when nothing receives the chunks any more.
    pub(crate) async fn send(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.0.send(Chunk::Bytes(bytes)).await.map_err(|_| Gone)
    }

    /// Marks the body as complete.
    pub(crate) async fn end(self) {
        // A client that is gone needs no end.
        let _ = self.0.send(Chunk::End).await;
    }

    /// Sends a chunk from a thread that may block. Blocks until there is room.
    ///
    /// # Errors
    /// [`Gone`] when nothing receives the chunks any more.
    pub(crate) fn send_blocking(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.0.blocking_send(Chunk::Bytes(bytes)).map_err(|_| Gone)
    }

    /// Marks the body as complete from a thread that may block.
    pub(crate) fn end_blocking(self) {
        // A client that is gone needs no end.
        let _ = self.0.blocking_send(Chunk::End);
    }

    /// Waits until nothing receives the chunks any more.
    pub(crate) async fn gone(&self) -> Gone {
        self.0.closed().await;
        Gone
    }
}

struct Received(mpsc::Receiver<Chunk>);

impl Chunks for Received {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Chunk> {
        let chunk = self.0.poll_recv(context);
        chunk.map(|chunk| chunk.unwrap_or(Chunk::Broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_runtime<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(future)
    }

    async fn next(body: &mut BodyStream) -> Chunk {
        std::future::poll_fn(|context| body.chunks.poll_chunk(context)).await
    }

    #[test]
    fn a_chunk_waits_for_room() {
        on_runtime(async {
            let (sender, mut body) = channel(Ending::AfterTheLast);
            for number in 0..limits::CHUNKS_WAITING {
                sender
                    .send(vec![u8::try_from(number).expect("few")])
                    .await
                    .expect("room");
            }
            let mut over = Box::pin(sender.send(vec![99]));
            let is_ready =
                std::future::poll_fn(|context| Poll::Ready(over.as_mut().poll(context).is_ready()));
            assert!(!is_ready.await, "there is no room");
            assert_eq!(next(&mut body).await, Chunk::Bytes(vec![0]));
            assert_eq!(over.await, Ok(()));
        });
    }

    #[test]
    fn only_an_end_that_was_said_is_one() {
        on_runtime(async {
            for (says_so, wanted) in [(true, Chunk::End), (false, Chunk::Broken)] {
                let (sender, mut body) = channel(Ending::AfterTheLast);
                sender.send(vec![1]).await.expect("room");
                if says_so {
                    sender.end().await;
                } else {
                    drop(sender);
                }
                assert_eq!(next(&mut body).await, Chunk::Bytes(vec![1]));
                assert_eq!(next(&mut body).await, wanted);
            }
        });
    }

    #[test]
    fn a_sender_notices_that_the_receiver_is_gone() {
        on_runtime(async {
            let (sender, body) = channel(Ending::AfterAnyChunk);
            drop(body);
            assert_eq!(sender.gone().await, Gone);
            assert_eq!(sender.send(vec![1]).await, Err(Gone));
        });
    }
}
