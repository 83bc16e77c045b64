//! Positions in the change log: that which every answer names, and those that requests demand.
//!
//! Guarantees: whoever demands elsewhere the position that an answer names is shown nothing older than that answer. A request
//! that demands a position is answered from a state that contains it, or with 503; what it waits for runs on another thread.

use std::io::Write as _;

use talos_api::control::ControlPlane;
use talos_api::error::ApiError;
use talos_api::fleet::{self, MIN_POSITION_HEADER, POSITION_HEADER, REACH_WAIT, Reach};
use talos_engine::{Engine, Position, Sequence};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::handover::Dropped;
use crate::parser::MinPosition;
use crate::response::Date;

/// What an answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// Changes up to this one; 0 = none.
    Change(Sequence),
    /// Any change that can be seen.
    Anything,
    /// It names its position itself.
    Named,
}

impl Basis {
    /// That of an answer which rests on no change.
    pub(crate) const NOTHING: Self = Self::Change(Sequence(0));

    /// That of an answer which rests on what both rest on.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Change(one), Self::Change(other)) => Self::Change(one.max(other)),
            _ => Self::Anything,
        }
    }
}

impl From<Option<Sequence>> for Basis {
    fn from(sequence: Option<Sequence>) -> Self {
        sequence.map_or(Self::Anything, Self::Change)
    }
}

/// What stands between the status line of an answer and its request id: date and position. Kept as bytes, and made anew when
/// the second or the node's head has moved.
#[derive(Debug)]
pub(crate) struct Preludes {
    date: Date,
    /// What [`Engine::moves`] was when the positions were read.
    moves: Option<u64>,
    head: Sequence,
    /// For answers that rest on nothing after the head.
    at_head: Vec<u8>,
    /// For answers that may rest on what is being written.
    at_ceiling: Vec<u8>,
    /// For answers that name their position themselves.
    unnamed: Vec<u8>,
}

impl Preludes {
    /// Without a position until the first is asked for.
    pub(crate) fn new(date: Date) -> Self {
        let [at_head, at_ceiling, unnamed] = [const { Vec::new() }; 3];
        let mut preludes = Self {
            date,
            moves: None,
            head: Sequence(0),
            at_head,
            at_ceiling,
            unnamed,
        };
        preludes.set_date(date);
        preludes
    }

    /// From now on answers carry this date.
    pub(crate) fn set_date(&mut self, date: Date) {
        self.date = date;
        self.moves = None;
        write_prelude(&mut self.unnamed, &date, None);
    }

    /// What was read before now is not used any more: a head can be seen a moment before [`Engine::moves`] tells of it.
    fn forget(&mut self) {
        self.moves = None;
    }

    /// That of an answer with this basis. It was evaluated before this is called: the position is one that the node has come to
    /// since.
    pub(crate) fn of(&mut self, basis: Basis, engine: &Engine) -> &[u8] {
        // Read before the positions, which may then be newer than it says: they are read again next time.
        let moves = engine.moves();
        if self.moves != Some(moves) {
            self.read(engine);
            self.moves = Some(moves);
        }
        match basis {
            Basis::Change(sequence) if sequence <= self.head => &self.at_head,
            Basis::Change(_) | Basis::Anything => &self.at_ceiling,
            Basis::Named => &self.unnamed,
        }
    }

    fn read(&mut self, engine: &Engine) {
        let (head, ceiling) = (engine.head(), engine.ceiling());
        self.head = head.sequence;
        write_prelude(&mut self.at_head, &self.date, Some(head));
        write_prelude(&mut self.at_ceiling, &self.date, Some(ceiling));
    }
}

/// Writes into memory that is there from the second time on.
fn write_prelude(bytes: &mut Vec<u8>, date: &Date, position: Option<Position>) {
    bytes.clear();
    bytes.extend_from_slice(b"\r\nDate: ");
    bytes.extend_from_slice(date);
    if let Some(position) = position {
        // Writing to a vector cannot fail.
        let _ = write!(bytes, "\r\n{POSITION_HEADER}: {position}");
    }
    bytes.extend_from_slice(b"\r\nX-Request-Id: ");
}

/// What came of waiting for a position.
pub(crate) type Reached = Result<(), ApiError>;

/// Why a request is not answered yet, or not as it asks.
pub(crate) enum Unmet {
    /// The position may still be reached.
    Wait(oneshot::Receiver<Reached>),
    /// It will not, or is none.
    Refused(ApiError),
}

/// What keeps a request that demands a position from being answered; `waited` is what came of waiting for it.
pub(crate) fn meet(
    core: &Core,
    demanded: MinPosition,
    waited: Option<&Result<Reached, Dropped>>,
) -> Option<Unmet> {
    let position = match demanded {
        MinPosition::None => return None,
        MinPosition::At(position) => position,
        MinPosition::Unclear => {
            return Some(Unmet::Refused(ApiError::bad_request(format!(
                "{MIN_POSITION_HEADER} must be one position: EPOCH.SEQUENCE, such as 1.42"
            ))));
        }
    };
    let Reach::Later(reaching) = core.shared.fleet.reach(position) else {
        core.preludes.borrow_mut().forget();
        return None;
    };
    Some(match waited {
        None => Unmet::Wait(wait(&*core.shared.control, position, reaching)),
        Some(Ok(Err(error))) => Unmet::Refused(error.clone()),
        // The node had it and has it no longer, or nobody waits any more: not a state to answer from.
        Some(Ok(Ok(())) | Err(Dropped)) => Unmet::Refused(fleet::beyond(position)),
    })
}

/// Waits beside the requests of the control plane until the position is reached, the time is over, or nobody listens any more.
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
        // The receiver is gone when the connection was cut; then there is nobody to tell.
        let _ = sender.send(reached.unwrap_or_else(|_| Err(fleet::beyond(position))));
    }));
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::date;
    use talos_engine::Epoch;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        }
    }

    #[test]
    fn an_answer_rests_on_the_newest_change_of_its_parts() {
        let [one, two] = [1, 2].map(|n| Basis::Change(Sequence(n)));
        assert_eq!(Basis::NOTHING.and(two), two);
        assert_eq!(two.and(one), two);
        assert_eq!(one.and(Basis::Anything), Basis::Anything);
        assert_eq!(Basis::from(None), Basis::Anything);
    }

    #[test]
    fn a_prelude_is_date_position_and_the_name_of_the_id() {
        let text = |position| {
            let mut bytes = b"what was there before".to_vec();
            write_prelude(&mut bytes, &date(0), position);
            String::from_utf8(bytes).unwrap()
        };
        assert_eq!(
            text(Some(at(2, 7))),
            "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nTalos-Position: 2.7\r\nX-Request-Id: "
        );
        assert_eq!(
            text(None),
            "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: "
        );
    }
}
