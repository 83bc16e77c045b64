//! A node among others whose progress the test decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use talos_api::error::ApiError;
use talos_api::fleet::{
    Acknowledgement, DivergedChanges, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Writes,
};
use talos_engine::Engine;
use talos_model::Position;
use tokio::sync::oneshot;

use crate::support::eventually;

/// A node that shows what its engine has committed, and waits for other positions until the test
/// releases them.
pub(crate) struct ScriptedFleet {
    engine: Arc<Engine>,
    unready: AtomicBool,
    waiting: Mutex<Vec<oneshot::Sender<Result<(), ApiError>>>>,
}

impl ScriptedFleet {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            unready: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn set_unready(&self) {
        self.unready.store(true, Ordering::Relaxed);
    }

    /// Waits until so many requests wait for a position.
    pub(crate) fn await_waiting(&self, count: usize) {
        eventually("requests wait for a position", || {
            self.waiting.lock().unwrap().len() >= count
        });
    }

    /// Ends all waits, each with what is said of it.
    pub(crate) fn release(&self, reached: &Result<(), ApiError>) {
        for waiting in self.waiting.lock().unwrap().drain(..) {
            // Nobody listens any more to a wait whose time is over.
            let _ = waiting.send(reached.clone());
        }
    }
}

impl Fleet for ScriptedFleet {
    fn ready(&self) -> Result<(), ApiError> {
        if self.unready.load(Ordering::Relaxed) {
            return Err(ApiError::service_unavailable("far behind"));
        }
        Ok(())
    }

    fn reach(&self, position: Position) -> Reach {
        let head = self.engine.committed();
        if position.epoch == head.epoch && position.sequence <= head.sequence {
            return Reach::Now;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().push(sender);
        Reach::Later(Box::pin(async { receiver.await.unwrap() }))
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        Ok(Writes::Here)
    }

    fn acknowledge(&self, _: Position, _: Acknowledgement) -> Later<Result<(), NotEverywhere>> {
        unreachable!("the data plane acknowledges nothing")
    }

    fn status(&self) -> FleetStatus {
        unreachable!("the data plane shows no status")
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        unreachable!("the data plane promotes nothing")
    }

    fn diverged(&self, _: usize) -> Later<Result<DivergedChanges, FleetRefusal>> {
        unreachable!("the data plane compares nothing")
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        unreachable!("the data plane does not rejoin")
    }
}
