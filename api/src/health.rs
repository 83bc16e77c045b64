//! The answers of the health routes, which are on the API's port and on the metrics port.

use talos_model::Health;

use crate::control::ControlResponse;
use crate::error::ApiError;
use crate::fleet::Fleet;

/// The body of a 200.
pub const OK: &[u8] = br#"{"status":"ok"}"#;

/// Whether clients may send traffic to this node.
///
/// # Errors
/// 503 without a reason when the node accepts no changes; the log has the reason. 503 with the
/// reason when `fleet` is not ready.
pub fn ready(health: &Health, fleet: &dyn Fleet) -> Result<(), ApiError> {
    match health {
        Health::Ok => fleet.ready(),
        Health::WritesStopped(_) => Err(ApiError::service_unavailable(
            "changes are not accepted at present",
        )),
    }
}

/// The answer to `/health/alive`. Every running process gives it.
#[must_use]
pub fn alive_response() -> ControlResponse {
    ControlResponse::json(200, OK.to_vec())
}

/// The answer to `/health/ready`.
#[must_use]
pub fn ready_response(health: &Health, fleet: &dyn Fleet) -> ControlResponse {
    ready(health, fleet).map_or_else(ControlResponse::from, |()| alive_response())
}

#[cfg(test)]
mod tests {
    use talos_model::Position;

    use super::*;
    use crate::fleet::{
        Acknowledgement, DivergedChanges, FleetRefusal, FleetStatus, Later, NotEverywhere, Reach,
        Rejoined, Writes,
    };

    /// A node of which only the readiness is asked.
    struct Somewhere(Result<(), ApiError>);

    impl Fleet for Somewhere {
        fn ready(&self) -> Result<(), ApiError> {
            self.0.clone()
        }

        fn reach(&self, _: Position) -> Reach {
            unreachable!()
        }

        fn writes(&self) -> Result<Writes, ApiError> {
            unreachable!()
        }

        fn acknowledge(&self, _: Position, _: Acknowledgement) -> Later<Result<(), NotEverywhere>> {
            unreachable!()
        }

        fn status(&self) -> FleetStatus {
            unreachable!()
        }

        fn promote(&self) -> Later<Result<FleetStatus, FleetRefusal>> {
            unreachable!()
        }

        fn diverged(&self, _: usize) -> Later<Result<DivergedChanges, FleetRefusal>> {
            unreachable!()
        }

        fn rejoin(&self) -> Later<Result<Rejoined, FleetRefusal>> {
            unreachable!()
        }
    }

    #[test]
    fn stopped_writes_are_not_ready_and_tell_no_cause() {
        let ready = Somewhere(Ok(()));
        assert_eq!(ready_response(&Health::Ok, &ready).status, 200);
        let stopped = Health::WritesStopped("/disk: full".to_owned());
        let stopped = ready_response(&stopped, &ready);
        assert_eq!(stopped.status, 503);
        let body = String::from_utf8(stopped.body).expect("UTF-8");
        assert!(!body.contains("/disk"), "{body}");
        assert_eq!(alive_response().body, OK);
    }

    #[test]
    fn a_node_that_is_stale_is_not_ready_and_says_so() {
        let stale = Somewhere(Err(ApiError::service_unavailable("stale")));
        let response = ready_response(&Health::Ok, &stale);
        assert_eq!(response.status, 503);
        let body = String::from_utf8(response.body).expect("UTF-8");
        assert!(body.contains("stale"), "{body}");
    }
}
