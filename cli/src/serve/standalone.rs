//! A server without replication, in the terms of the API: a primary that has no replicas.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use talos_api::error::ApiError;
use talos_api::fleet::{
    self, Acknowledgement, DivergedChanges, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Role, Writes,
};
use talos_engine::Engine;
use talos_model::Position;

use super::readiness::Readiness;

/// A server without replication.
pub(super) struct Standalone {
    /// The database.
    pub(super) engine: Arc<Engine>,
    /// Whether the process may receive traffic.
    pub(super) readiness: Readiness,
}

impl Fleet for Standalone {
    fn ready(&self) -> Result<(), ApiError> {
        self.readiness.ready()
    }

    fn reach(&self, position: Position) -> Reach {
        if is_shown(&self.engine, position) {
            return Reach::Now;
        }
        let engine = Arc::clone(&self.engine);
        Reach::Later(Box::pin(written(engine, position)))
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        Ok(Writes::Here)
    }

    fn acknowledge(
        &self,
        _position: Position,
        _whom: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        Box::pin(async { Ok(()) })
    }

    fn status(&self) -> FleetStatus {
        let reason = self.readiness.reason();
        FleetStatus {
            role: Role::None,
            node_id: String::new(),
            epoch: self.engine.committed().epoch.0,
            position: self.engine.committed().to_string(),
            ready: reason.is_none(),
            reason,
            replicas: None,
            refusals: None,
            primary: None,
        }
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        refused()
    }

    fn diverged(&self, _limit: usize) -> Later<Result<DivergedChanges, FleetRefusal>> {
        refused()
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        refused()
    }
}

fn is_shown(engine: &Engine, position: Position) -> bool {
    let head = engine.committed();
    position.epoch == head.epoch && position.sequence <= head.sequence
}

/// Waits until the engine has committed `position`. No other node writes to this database, so the
/// position is one that is being written, or one of an epoch that has ended here, or never comes.
async fn written(engine: Arc<Engine>, position: Position) -> Result<(), ApiError> {
    let epochs = engine.standing().epochs;
    if epochs.has(position) && position.sequence <= engine.committed().sequence {
        return Ok(());
    }
    let ceiling = engine.in_flight();
    if position.epoch != ceiling.epoch || position.sequence > ceiling.sequence {
        return Err(fleet::beyond(position));
    }
    let waiting: Arc<Mutex<Option<Waker>>> = Arc::default();
    let woken = Arc::clone(&waiting);
    let watch = engine.watch(move |_| {
        let waker = lock(&woken).take();
        waker.into_iter().for_each(Waker::wake);
    });
    let Some(_watch) = watch else {
        return Err(ApiError::service_unavailable(
            "too many requests wait for a position; try again",
        ));
    };
    poll_fn(|context| {
        // The waker is stored before the position is compared. A commit in between wakes the task.
        *lock(&waiting) = Some(context.waker().clone());
        if is_shown(&engine, position) {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused<T: Send + 'static>() -> Later<Result<T, FleetRefusal>> {
    let text = "this server stands alone: replication.role is none";
    Box::pin(async move { Err(FleetRefusal::Precondition(text.to_owned())) })
}
