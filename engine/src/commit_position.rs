//! The committed and the in-flight position of a node's log, and the watchers of the committed one.
//!
//! Guarantees: a change is durable and published before the committed position covers it. The
//! in-flight position covers a change before any reader can see it. Reading a position takes no
//! lock. At most [`HEAD_WATCHERS`] watchers are called when the committed position moves, on
//! the committing thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use talos_cells::{Swap, pin};
use talos_model::Position;

use crate::limits::HEAD_WATCHERS;

type Notify = Arc<dyn Fn(Position) + Send + Sync>;

#[derive(Default)]
struct Watchers {
    next: u64,
    registered: Vec<(u64, Notify)>,
}

/// The positions of a node's log, shared by all threads. Only the committing thread moves them.
pub struct CommitPosition {
    committed: Swap<Position>,
    in_flight: Swap<Position>,
    /// Counts the moves of both positions. Written after the move, so a reader that sees the count
    /// also sees the move.
    moves: AtomicU64,
    watchers: Mutex<Watchers>,
}

impl CommitPosition {
    /// Both positions at `position`.
    pub fn new(position: Position) -> Self {
        Self {
            committed: Swap::new(position),
            in_flight: Swap::new(position),
            moves: AtomicU64::new(0),
            watchers: Mutex::default(),
        }
    }

    /// The last change that is durable and published.
    pub fn committed(&self) -> Position {
        *self.committed.load(&pin())
    }

    /// The last change that a reader can have seen: the last one of the group that is being
    /// written, or else [`CommitPosition::committed`].
    pub fn in_flight(&self) -> Position {
        *self.in_flight.load(&pin())
    }

    /// A number that changes with every move of the committed or in-flight position.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Changes up to `position` are about to be written: storage shows them before they are
    /// published.
    pub fn begin(&self, position: Position) {
        self.in_flight.store(position, &pin());
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// The write failed, and no reader has seen its changes.
    pub fn abandon(&self) {
        let guard = pin();
        self.in_flight.store(*self.committed.load(&guard), &guard);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Changes up to `position` are durable and published.
    pub fn advance(&self, position: Position) {
        let guard = pin();
        self.committed.store(position, &guard);
        self.in_flight.store(position, &guard);
        self.moves.fetch_add(1, Ordering::AcqRel);
        drop(guard);
        // Called without the lock, so that a watcher may call `watch` and `unwatch`.
        let registered: Vec<_> = {
            let watchers = self.watchers.lock();
            let watchers = watchers.unwrap_or_else(PoisonError::into_inner);
            let registered = watchers.registered.iter();
            registered.map(|(_, notify)| Arc::clone(notify)).collect()
        };
        for notify in registered {
            notify(position);
        }
    }

    /// Calls `notify` with every new committed position from now on. Returns the name of the
    /// watcher; `None` if there are too many.
    pub fn watch(&self, notify: Notify) -> Option<u64> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.registered.len() >= HEAD_WATCHERS {
            return None;
        }
        let name = watchers.next;
        watchers.next += 1;
        watchers.registered.push((name, notify));
        Some(name)
    }

    /// Removes the watcher that [`CommitPosition::watch`] named.
    pub fn unwatch(&self, name: u64) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.registered.retain(|(known, _)| *known != name);
    }
}

#[cfg(test)]
mod tests {
    use talos_model::Sequence;

    use super::*;

    #[test]
    fn the_in_flight_position_moves_before_the_committed_one() {
        let at = |sequence| Position {
            sequence: Sequence(sequence),
            ..Position::START
        };
        let position = CommitPosition::new(at(3));
        let mut moves = vec![position.moves()];
        let mut both = |position: &CommitPosition| {
            moves.push(position.moves());
            (position.committed(), position.in_flight())
        };
        position.begin(at(5));
        assert_eq!(both(&position), (at(3), at(5)));
        position.abandon();
        assert_eq!(both(&position), (at(3), at(3)));
        position.begin(at(4));
        assert_eq!(both(&position), (at(3), at(4)));
        position.advance(at(4));
        assert_eq!(both(&position), (at(4), at(4)));
        // A copy of another node may end before the last change of this one.
        position.advance(at(2));
        assert_eq!(both(&position), (at(2), at(2)));
        assert!(moves.is_sorted_by(|one, next| one < next), "{moves:?}");
    }
}
