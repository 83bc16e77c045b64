//! Turns a panic of a future into a value.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

/// The handler panicked. The panic hook has logged where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `future` to its end.
///
/// # Errors
/// [`Panicked`] when it panics. Its own state is dropped; state that it shares may be half-changed.
pub(crate) async fn run<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let poll = || Pin::as_mut(&mut future).poll(context);
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_at_any_await() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            assert_eq!(run(async { 7 }).await, Ok(7));
            let at_once: Result<(), _> = run(async { panic!("expected by this test") }).await;
            assert_eq!(at_once, Err(Panicked));
            let later: Result<(), _> = run(async {
                tokio::task::yield_now().await;
                panic!("expected by this test")
            })
            .await;
            assert_eq!(later, Err(Panicked));
        });
    }
}
