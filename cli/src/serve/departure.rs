//! Whether the server has been told to stop. From then on it is not ready, although it still
//! answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use talos_model::duration;

/// What the health of a server that stops says.
pub(super) const REASON: &str = "this server is stopping";

/// Whether the server has been told to stop. Copies share the answer.
#[derive(Clone, Default)]
pub(super) struct Departure(Arc<AtomicBool>);

impl Departure {
    /// From now on the server is not ready. Calls `stop` after `delay`, on a thread of its own if
    /// there is a delay.
    pub(super) fn begin(&self, delay: Duration, stop: impl FnOnce() + Send + Clone + 'static) {
        self.0.store(true, Ordering::SeqCst);
        if delay.is_zero() {
            return stop();
        }
        tracing::info!(
            delay = duration::format_protobuf(delay),
            "not ready any more; requests are answered until the delay is over"
        );
        let later = stop.clone();
        let waiting = thread::Builder::new().name("talos-stop".to_owned());
        let waiting = waiting.spawn(move || {
            thread::sleep(delay);
            later();
        });
        if let Err(error) = waiting {
            tracing::warn!(%error, "the shutdown cannot be delayed");
            stop();
        }
    }

    /// Whether it has.
    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
