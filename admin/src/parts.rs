//! Answers that come in parts: the end at which the parts are made.
//!
//! Guarantees: no more than [`limits::PARTS_WAITING`] parts wait for the client, whoever makes more waits; who makes them learns
//! when nobody takes them any more; parts that end without a word, as after a panic, are broken off and not complete.

use std::task::{Context, Poll};

use talos_api::control::{Ending, Part, Parts, Rest};
use tokio::sync::mpsc;

use crate::limits;

/// Nobody takes any more parts: the client has gone, or the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Where parts are put.
pub(crate) struct Outlet(mpsc::Sender<Part>);

/// An outlet, and the rest of a body that consists of what is put there.
pub(crate) fn channel(ending: Ending) -> (Outlet, Rest) {
    let (sender, receiver) = mpsc::channel(limits::PARTS_WAITING);
    let parts = Box::new(Received(receiver));
    (Outlet(sender), Rest { parts, ending })
}

impl Outlet {
    /// Puts a part there, and waits until there is room.
    ///
    /// # Errors
    /// [`Gone`]
    pub(crate) async fn put(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.0.send(Part::Bytes(bytes)).await.map_err(|_| Gone)
    }

    /// Says that this was all.
    pub(crate) async fn end(self) {
        // Nobody is left to tell when the client has gone.
        let _ = self.0.send(Part::End).await;
    }

    /// [`Self::put`] on a thread that may wait.
    ///
    /// # Errors
    /// [`Gone`]
    pub(crate) fn put_blocking(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.0.blocking_send(Part::Bytes(bytes)).map_err(|_| Gone)
    }

    /// [`Self::end`] on such a thread.
    pub(crate) fn end_blocking(self) {
        // As above.
        let _ = self.0.blocking_send(Part::End);
    }

    /// Waits until nobody takes any more parts.
    pub(crate) async fn gone(&self) -> Gone {
        self.0.closed().await;
        Gone
    }
}

struct Received(mpsc::Receiver<Part>);

impl Parts for Received {
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Part> {
        let part = self.0.poll_recv(context);
        part.map(|part| part.unwrap_or(Part::Broken))
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

    async fn next(rest: &mut Rest) -> Part {
        std::future::poll_fn(|context| rest.parts.poll_part(context)).await
    }

    #[test]
    fn a_part_waits_for_room() {
        on_runtime(async {
            let (outlet, mut rest) = channel(Ending::AfterTheLast);
            for number in 0..limits::PARTS_WAITING {
                outlet
                    .put(vec![u8::try_from(number).expect("few")])
                    .await
                    .expect("room");
            }
            let mut over = Box::pin(outlet.put(vec![99]));
            let is_ready =
                std::future::poll_fn(|context| Poll::Ready(over.as_mut().poll(context).is_ready()));
            assert!(!is_ready.await, "there is no room");
            assert_eq!(next(&mut rest).await, Part::Bytes(vec![0]));
            assert_eq!(over.await, Ok(()));
        });
    }

    #[test]
    fn only_an_end_that_was_said_is_one() {
        on_runtime(async {
            for (says_so, wanted) in [(true, Part::End), (false, Part::Broken)] {
                let (outlet, mut rest) = channel(Ending::AfterTheLast);
                outlet.put(vec![1]).await.expect("room");
                if says_so {
                    outlet.end().await;
                } else {
                    drop(outlet);
                }
                assert_eq!(next(&mut rest).await, Part::Bytes(vec![1]));
                assert_eq!(next(&mut rest).await, wanted);
            }
        });
    }

    #[test]
    fn who_makes_parts_learns_that_nobody_takes_them() {
        on_runtime(async {
            let (outlet, rest) = channel(Ending::AfterAnyPart);
            drop(rest);
            assert_eq!(outlet.gone().await, Gone);
            assert_eq!(outlet.put(vec![1]).await, Err(Gone));
        });
    }
}
