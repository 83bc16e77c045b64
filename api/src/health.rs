//! What the health routes answer, on the API's port and on that of the metrics.

use talos_engine::Health;

use crate::control::ControlResponse;
use crate::error::ApiError;

/// The body of 200.
pub const OK: &[u8] = br#"{"status":"ok"}"#;

/// Whether the process can do all of its work.
///
/// # Errors
/// 503 when it accepts no changes. Why not is the operator's business, who finds it in the log.
pub fn ready(health: &Health) -> Result<(), ApiError> {
    match health {
        Health::Ok => Ok(()),
        Health::WritesStopped(_) => Err(ApiError::service_unavailable(
            "changes are not accepted at present",
        )),
    }
}

/// The answer to `/health/alive`, which needs nothing but a running process.
#[must_use]
pub fn alive_response() -> ControlResponse {
    ControlResponse::json(200, OK.to_vec())
}

/// The answer to `/health/ready`.
#[must_use]
pub fn ready_response(health: &Health) -> ControlResponse {
    ready(health).map_or_else(ControlResponse::from, |()| alive_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_writes_are_not_ready_and_tell_no_cause() {
        assert_eq!(ready_response(&Health::Ok).status, 200);
        let stopped = ready_response(&Health::WritesStopped("/disk: full".to_owned()));
        assert_eq!(stopped.status, 503);
        let body = String::from_utf8(stopped.body).expect("UTF-8");
        assert!(!body.contains("/disk"), "{body}");
        assert_eq!(alive_response().body, OK);
    }
}
