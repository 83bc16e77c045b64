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
/// 503, without the reason: everybody may ask.
pub fn ready(health: &Health, fleet: &dyn Fleet) -> Result<(), ApiError> {
    reason(health, fleet).map_err(|_| {
        ApiError::service_unavailable("this node is not ready; the metrics port says why")
    })
}

/// As [`ready`], with the reason.
fn reason(health: &Health, fleet: &dyn Fleet) -> Result<(), ApiError> {
    match health {
        Health::Ok => fleet.ready(),
        Health::WritesStopped(cause) => Err(ApiError::service_unavailable(format!(
            "changes are not accepted: {cause}"
        ))),
    }
}

/// Whether this process is alive. One whose writes only a restart can bring back is not, when the
/// operator's time for that is over.
///
/// # Errors
/// 503, without the reason: everybody may ask.
pub fn alive(needs_restart: bool) -> Result<(), ApiError> {
    if needs_restart {
        let text = "this server has to be restarted; the metrics port says why it is not ready";
        return Err(ApiError::service_unavailable(text));
    }
    Ok(())
}

/// The answer to `/health/alive`.
#[must_use]
pub fn alive_response(needs_restart: bool) -> ControlResponse {
    alive(needs_restart).map_or_else(ControlResponse::from, |()| ok_response())
}

/// The body of a 200, as an answer.
#[must_use]
pub fn ok_response() -> ControlResponse {
    ControlResponse::json(200, OK.to_vec())
}

/// The answer to `/health/ready` on the metrics port, which only operators reach: with the reason
/// why the node is not ready.
#[must_use]
pub fn ready_response(health: &Health, fleet: &dyn Fleet) -> ControlResponse {
    reason(health, fleet).map_or_else(ControlResponse::from, |()| ok_response())
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

    /// What everybody learns about a node that is not ready.
    fn refusal(health: &Health, fleet: &dyn Fleet) -> String {
        let error = ready(health, fleet).expect_err("not ready");
        let response = ControlResponse::from(error);
        assert_eq!(response.status, 503);
        String::from_utf8(response.body).expect("UTF-8")
    }

    #[test]
    fn a_process_that_needs_a_restart_is_not_alive() {
        assert_eq!(alive_response(false).status, 200);
        assert_eq!(alive_response(true).status, 503);
    }

    #[test]
    fn stopped_writes_are_not_ready_and_only_operators_learn_the_cause() {
        let fleet = Somewhere(Ok(()));
        assert_eq!(ready(&Health::Ok, &fleet), Ok(()));
        assert_eq!(ready_response(&Health::Ok, &fleet).status, 200);
        let stopped = Health::WritesStopped("/disk: full".to_owned());
        let shown = ready_response(&stopped, &fleet);
        assert_eq!(shown.status, 503);
        let body = String::from_utf8(shown.body).expect("UTF-8");
        assert!(body.contains("/disk: full"), "{body}");
        let refused = refusal(&stopped, &fleet);
        assert!(!refused.contains("/disk"), "{refused}");
        assert_eq!(ok_response().body, OK);
    }

    #[test]
    fn a_node_that_is_stale_is_not_ready_and_says_so() {
        let stale = Somewhere(Err(ApiError::service_unavailable("stale")));
        let response = ready_response(&Health::Ok, &stale);
        assert_eq!(response.status, 503);
        let body = String::from_utf8(response.body).expect("UTF-8");
        assert!(body.contains("stale"), "{body}");
        let refused = refusal(&Health::Ok, &stale);
        assert!(!refused.contains("stale"), "{refused}");
    }
}
