//! Positions in the change log that requests demand.
//!
//! Guarantees: a request that demands a position is answered from a state that contains it, or with
//! 503. The wait for a position runs on the control plane's runtime.

use talos_api::control::ControlPlane;
use talos_api::error::ApiError;
use talos_api::fleet::{self, MIN_POSITION_HEADER, REACH_WAIT, Reach};
use talos_model::Position;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::parser::MinPosition;
use crate::wait::Dropped;

/// The result of waiting for a position: an error is the answer to the request.
pub(crate) type Reached = Result<(), ApiError>;

/// Why a request cannot be answered now.
pub(crate) enum Unmet {
    /// The node may still reach the position.
    Wait(oneshot::Receiver<Reached>),
    /// The node will not reach it, or the request does not name exactly one position.
    Refused(ApiError),
}

/// Checks the position that a request demands; `None` when the node has reached it. `waited` is the
/// result of the wait for it, if there was one.
pub(crate) fn check(
    core: &Core,
    demanded: MinPosition,
    waited: Option<&Result<Reached, Dropped>>,
) -> Option<Unmet> {
    let position = match demanded {
        MinPosition::None => return None,
        MinPosition::At(position) => position,
        MinPosition::Ambiguous => {
            return Some(Unmet::Refused(ApiError::bad_request(format!(
                "{MIN_POSITION_HEADER} must be one position: EPOCH.SEQUENCE, such as 1.42"
            ))));
        }
    };
    let Reach::Later(reaching) = core.shared.fleet.reach(position) else {
        core.heads.borrow_mut().invalidate();
        return None;
    };
    Some(match waited {
        None => Unmet::Wait(wait(&*core.shared.control, position, reaching)),
        Some(Ok(Err(error))) => Unmet::Refused(error.clone()),
        // The node has lost the position since, or the control plane dropped the wait.
        Some(Ok(Ok(())) | Err(Dropped)) => Unmet::Refused(fleet::beyond(position)),
    })
}

/// Waits on the control plane's runtime until the position is reached, [`REACH_WAIT`] is over, or
/// the connection is gone.
fn wait(
    control: &dyn ControlPlane,
    position: Position,
    reaching: fleet::Later<Reached>,
) -> oneshot::Receiver<Reached> {
    let (mut sender, receiver) = oneshot::channel();
    control.spawn(Box::pin(async move {
        let reached = tokio::select! {
            () = sender.closed() => return,
            reached = tokio::time::timeout(REACH_WAIT, reaching) => reached,
        };
        // The receiver is gone when the connection was cut.
        let _ = sender.send(reached.unwrap_or_else(|_| Err(fleet::beyond(position))));
    }));
    receiver
}
