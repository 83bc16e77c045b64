//! One worker: a pinned thread with its own runtime, its listeners, and the tick that keeps its
//! connections within their deadlines.
//!
//! Guarantee: a worker ends only after its connections have ended, or [`limits::CUT_GRACE`] after
//! the deadline of a drain.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::core::{Core, Shared};
use crate::driver::{Driver, WorkerRuntime};
use crate::error::ServerError;
use crate::limits;
use crate::listener::{BoundSocket, Listener};
use crate::metrics::CoreMetrics;
use crate::options::DriverChoice;
use crate::pinning::pin_current_thread;
use crate::port::Port;
use crate::slice::ask_for_short_slices;

/// What a worker thread needs to start.
pub(crate) struct Worker {
    /// The core to run on; `None` = the scheduler decides.
    pub pin: Option<usize>,
    /// The sockets to accept from, each with what its connections may do.
    pub sockets: Vec<(BoundSocket, Port)>,
    /// Which driver to use.
    pub choice: DriverChoice,
    /// State shared by all workers.
    pub shared: Arc<Shared>,
    /// This worker's counters.
    pub metrics: Arc<CoreMetrics>,
    /// Receives one message: the driver in use, or why the worker did not start.
    pub started: Sender<Result<Driver, ServerError>>,
}

impl Worker {
    /// Runs on the thread of the worker until the server is told to stop.
    pub(crate) fn run(self) {
        if let Some(core) = self.pin
            && let Err(error) = pin_current_thread(core)
        {
            tracing::warn!(core, %error, "cannot pin a worker to its core");
        }
        if let Err(error) = ask_for_short_slices() {
            tracing::debug!(%error, "the kernel refused short slices; the worker runs with the default length");
        }
        let (mut runtime, driver) = match WorkerRuntime::build(self.choice) {
            Ok(built) => built,
            Err(error) => {
                let _ = self.started.send(Err(error));
                return;
            }
        };
        let shared = Arc::clone(&self.shared);
        let ended = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let sockets = self.sockets.into_iter();
                let listeners: io::Result<Vec<_>> = sockets
                    .map(|(socket, port)| Listener::register(socket, port, driver).map(Rc::new))
                    .collect();
                let core = Core::new(self.shared, self.metrics);
                let (listeners, core) = match listeners.and_then(|all| Ok((all, core?))) {
                    Ok(ready) => ready,
                    Err(error) => {
                        let _ = self.started.send(Err(ServerError::Thread(error)));
                        return;
                    }
                };
                // The receiver is gone when another worker has failed to start.
                let _ = self.started.send(Ok(driver));
                serve(Rc::new(core), listeners).await;
            });
        }));
        if let Err(panic) = ended {
            // The kernel would still send connections to the lost worker, and they would get no
            // answer.
            tracing::error!("a worker panicked; stopping the server");
            shared.shutdown.drain(Duration::ZERO);
            std::panic::resume_unwind(panic);
        }
    }
}

/// Serves `listeners` until the server is told to stop and the connections have ended.
async fn serve(core: Rc<Core>, listeners: Vec<Rc<Listener>>) {
    core.set_accept_loops(listeners.len());
    for listener in &listeners {
        monoio::spawn(Rc::clone(listener).accept_all(Rc::clone(&core)));
    }
    while !core.is_finished() {
        monoio::time::sleep(limits::TICK).await;
        core.update_clocks();
        core.follow_options();
        core.metrics.ticks.increment();
        if core.starts_draining() {
            for listener in &listeners {
                listener.shut_down();
            }
        }
        core.tick_connections();
    }
}
