//! A node among others whose progress the test decides.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use talos_api::error::ApiError;
use talos_api::fleet::{
    Acknowledgement, Alone, Divergence, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Writes,
};
use talos_engine::{Engine, Position};
use tokio::sync::oneshot;

use crate::support::eventually;

/// What it was not told to do otherwise it does as one that stands alone.
pub(crate) struct ScriptedFleet {
    alone: Alone,
    unready: AtomicBool,
    waiting: Mutex<Vec<oneshot::Sender<Result<(), ApiError>>>>,
}

impl ScriptedFleet {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            alone: Alone(engine),
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
        self.alone.ready()
    }

    /// What the node does not show yet comes when the test says so.
    fn reach(&self, position: Position) -> Reach {
        match self.alone.reach(position) {
            Reach::Now => Reach::Now,
            Reach::Later(_) => {
                let (sender, receiver) = oneshot::channel();
                self.waiting.lock().unwrap().push(sender);
                Reach::Later(Box::pin(async { receiver.await.unwrap() }))
            }
        }
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        self.alone.writes()
    }

    fn acknowledge(
        &self,
        position: Position,
        whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        self.alone.acknowledge(position, whom)
    }

    fn status(&self) -> FleetStatus {
        self.alone.status()
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        self.alone.promote()
    }

    fn diverged(&self, limit: usize) -> Later<Result<Divergence, FleetRefusal>> {
        self.alone.diverged(limit)
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        self.alone.rejoin()
    }
}
