//! Whether the process may receive traffic, its role in a fleet aside.

use talos_api::error::ApiError;

use super::departure::{Departure, REASON};
use super::wall_clock::WallClock;

/// What keeps a server from being ready in every role. Copies share it.
#[derive(Clone)]
pub(super) struct Readiness {
    /// Whether the server has been told to stop.
    pub(super) departure: Departure,
    /// Whether the clock is believed.
    pub(super) clock: WallClock,
}

impl Readiness {
    /// Why clients may not send traffic; `None` if they may.
    pub(super) fn reason(&self) -> Option<String> {
        if self.departure.has_begun() {
            return Some(REASON.to_owned());
        }
        self.clock.reason()
    }

    /// That clients may send traffic.
    ///
    /// # Errors
    /// 503, with the reason.
    pub(super) fn ready(&self) -> Result<(), ApiError> {
        match self.reason() {
            None => Ok(()),
            Some(reason) => Err(ApiError::service_unavailable(reason)),
        }
    }
}
