//! A node whose readiness the test decides.

use std::sync::atomic::{AtomicU64, Ordering};

use talos_api::error::ApiError;
use talos_api::fleet::{
    Acknowledgement, DivergedChanges, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Writes,
};
use talos_model::Position;

/// A node that takes changes.
pub struct SingleNode {
    pub ready: Result<(), ApiError>,
    /// The last change that the required replicas have. A change after it is not acknowledged.
    pub replicas_have: AtomicU64,
}

impl SingleNode {
    pub fn new() -> Self {
        Self {
            ready: Ok(()),
            replicas_have: AtomicU64::new(u64::MAX),
        }
    }
}

impl Fleet for SingleNode {
    fn ready(&self) -> Result<(), ApiError> {
        self.ready.clone()
    }

    fn reach(&self, _: Position) -> Reach {
        Reach::Now
    }

    fn writes(&self) -> Result<Writes, ApiError> {
        Ok(Writes::Here)
    }

    fn acknowledge(
        &self,
        position: Position,
        _: Acknowledgement,
    ) -> Later<Result<(), NotEverywhere>> {
        let replicated = position.sequence.0 <= self.replicas_have.load(Ordering::SeqCst);
        Box::pin(async move {
            if replicated {
                return Ok(());
            }
            Err(NotEverywhere {
                message: "a replica is away".to_owned(),
                missing: Vec::new(),
            })
        })
    }

    fn status(&self) -> FleetStatus {
        unreachable!("no test asks for the status")
    }

    fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
        unreachable!("no test promotes")
    }

    fn diverged(&self, _: usize) -> Later<Result<DivergedChanges, FleetRefusal>> {
        unreachable!("no test asks for a divergence")
    }

    fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
        unreachable!("no test rejoins")
    }
}
