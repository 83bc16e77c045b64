//! A node whose readiness the test decides.

use talos_api::error::ApiError;
use talos_api::fleet::{
    Acknowledgement, DivergedChanges, Fleet, FleetRefusal, FleetStatus, Later, NotEverywhere,
    Reach, Rejoined, Writes,
};
use talos_model::Position;

/// A node that takes changes and waits for no replica.
pub struct SingleNode {
    pub ready: Result<(), ApiError>,
}

impl SingleNode {
    pub fn new() -> Self {
        Self { ready: Ok(()) }
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

    fn acknowledge(&self, _: Position, _: Acknowledgement) -> Later<Result<(), NotEverywhere>> {
        Box::pin(async { Ok(()) })
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
