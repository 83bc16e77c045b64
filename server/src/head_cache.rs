//! Prepared bytes for the head of every answer: the date and the node's position in the change log.
//!
//! Guarantee: a position that an answer names includes every change that the answer is based on. A
//! client that sends this position to another node gets an answer that is at least as new.

use std::io::Write as _;

use talos_api::fleet::POSITION_HEADER;
use talos_engine::Engine;
use talos_model::{Position, Sequence};

use crate::date::Date;

/// Which changes an answer is based on. It decides which position the answer names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadPosition {
    /// Changes up to this sequence; 0 = no change.
    Change(Sequence),
    /// Possibly every change that is visible now, also one that is being published.
    Anything,
    /// The answer carries a position field of its own.
    Named,
}

impl ReadPosition {
    /// For an answer that depends on no change.
    pub(crate) const NOTHING: Self = Self::Change(Sequence(0));

    /// For an answer that combines two answers.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Change(one), Self::Change(other)) => Self::Change(one.max(other)),
            _ => Self::Anything,
        }
    }
}

impl From<Option<Sequence>> for ReadPosition {
    fn from(sequence: Option<Sequence>) -> Self {
        sequence.map_or(Self::Anything, Self::Change)
    }
}

/// The bytes between the status line of an answer and its request id: date and position. They are
/// rewritten when the second or the engine's position has changed.
#[derive(Debug)]
pub(crate) struct HeadCache {
    date: Date,
    /// The value of [`Engine::moves`] when the positions were read; `None` = read them again.
    moves: Option<u64>,
    committed: Sequence,
    /// For answers based on committed changes only.
    at_committed: Vec<u8>,
    /// For answers that may be based on a change that is being written.
    at_in_flight: Vec<u8>,
    /// For answers that carry a position field of their own.
    without_position: Vec<u8>,
}

impl HeadCache {
    /// An empty cache; the first answer reads the positions.
    pub(crate) fn new(date: Date) -> Self {
        let [at_committed, at_in_flight, without_position] = [const { Vec::new() }; 3];
        let mut cache = Self {
            date,
            moves: None,
            committed: Sequence(0),
            at_committed,
            at_in_flight,
            without_position,
        };
        cache.set_date(date);
        cache
    }

    /// Changes the date of all later answers.
    pub(crate) fn set_date(&mut self, date: Date) {
        self.date = date;
        self.moves = None;
        write_head(&mut self.without_position, &date, None);
    }

    /// Makes the next answer read the positions again. Needed after somebody else has seen a newer
    /// committed position: it becomes visible a moment before [`Engine::moves`] changes.
    pub(crate) fn invalidate(&mut self) {
        self.moves = None;
    }

    /// The bytes for an answer. The answer must have been computed before this call, so that the
    /// position is not older than the answer.
    pub(crate) fn bytes(&mut self, read: ReadPosition, engine: &Engine) -> &[u8] {
        // Read before the positions. If they change in between they are newer than `moves` says,
        // and the next answer reads them again.
        let moves = engine.moves();
        if self.moves != Some(moves) {
            self.refresh(engine);
            self.moves = Some(moves);
        }
        match read {
            ReadPosition::Change(sequence) if sequence <= self.committed => &self.at_committed,
            ReadPosition::Change(_) | ReadPosition::Anything => &self.at_in_flight,
            ReadPosition::Named => &self.without_position,
        }
    }

    fn refresh(&mut self, engine: &Engine) {
        let (committed, in_flight) = (engine.committed(), engine.in_flight());
        self.committed = committed.sequence;
        write_head(&mut self.at_committed, &self.date, Some(committed));
        write_head(&mut self.at_in_flight, &self.date, Some(in_flight));
    }
}

/// Overwrites `bytes`. Allocates only the first time.
fn write_head(bytes: &mut Vec<u8>, date: &Date, position: Option<Position>) {
    bytes.clear();
    bytes.extend_from_slice(b"\r\nDate: ");
    bytes.extend_from_slice(date);
    if let Some(position) = position {
        // Writing to a vector cannot fail.
        let _ = write!(bytes, "\r\n{POSITION_HEADER}: {position}");
    }
    bytes.extend_from_slice(b"\r\nX-Request-Id: ");
}

#[cfg(test)]
mod tests {
    use talos_model::Epoch;

    use super::*;
    use crate::date::date;

    fn at(epoch: u64, sequence: u64) -> Position {
        Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        }
    }

    #[test]
    fn an_answer_rests_on_the_newest_change_of_its_parts() {
        let [one, two] = [1, 2].map(|n| ReadPosition::Change(Sequence(n)));
        assert_eq!(ReadPosition::NOTHING.and(two), two);
        assert_eq!(two.and(one), two);
        assert_eq!(one.and(ReadPosition::Anything), ReadPosition::Anything);
        assert_eq!(ReadPosition::from(None), ReadPosition::Anything);
    }

    #[test]
    fn a_head_is_date_position_and_the_name_of_the_id() {
        let text = |position| {
            let mut bytes = b"what was there before".to_vec();
            write_head(&mut bytes, &date(0), position);
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
