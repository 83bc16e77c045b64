//! How far a node's changes reach, for whoever has to go on when there are more.
//!
//! Guarantees: a change is durable and published before the position says so; nobody is shown a change before the in_flight says
//! so. Who reads either takes no lock. Those who are called when the position moves are few ([`HEAD_WATCHERS`]) and are called on
//! the committing thread, after it has published.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use talos_cells::{Swap, pin};
use talos_model::Position;

use crate::limits::HEAD_WATCHERS;

type Notify = Arc<dyn Fn(Position) + Send + Sync>;

#[derive(Default)]
struct Watchers {
    next: u64,
    called: Vec<(u64, Notify)>,
}

/// See the module.
pub struct CommitPosition {
    committed: Swap<Position>,
    in_flight: Swap<Position>,
    /// KeyCounter what happens to either. Written after it: who sees the count sees what it stands for.
    moves: AtomicU64,
    watchers: Mutex<Watchers>,
}

impl CommitPosition {
    /// A head at `position`.
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

    /// The last change that anybody can have been shown: of the group that is being written, or else [`CommitPosition::position`].
    pub fn in_flight(&self) -> Position {
        *self.in_flight.load(&pin())
    }

    /// Another number whenever the position or the in_flight has moved.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Everything up to `position` is about to be written: storage shows it before it is published.
    pub fn begin(&self, position: Position) {
        self.in_flight.store(position, &pin());
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// What was about to be written could not be, and nobody has seen it.
    pub fn abandon(&self) {
        let guard = pin();
        self.in_flight.store(*self.committed.load(&guard), &guard);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything up to `position` is durable and published.
    pub fn advance(&self, position: Position) {
        let guard = pin();
        self.committed.store(position, &guard);
        self.in_flight.store(position, &guard);
        self.moves.fetch_add(1, Ordering::AcqRel);
        drop(guard);
        // Called without the lock, so that somebody who is called may come and go.
        let called: Vec<_> = {
            let watchers = self.watchers.lock();
            let watchers = watchers.unwrap_or_else(PoisonError::into_inner);
            let called = watchers.called.iter();
            called.map(|(_, notify)| Arc::clone(notify)).collect()
        };
        for notify in called {
            notify(position);
        }
    }

    /// From now on calls `notify` with every new position; `None` when too many are called already.
    pub fn watch(&self, notify: Notify) -> Option<u64> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.called.len() >= HEAD_WATCHERS {
            return None;
        }
        let name = watchers.next;
        watchers.next += 1;
        watchers.called.push((name, notify));
        Some(name)
    }

    /// Ends what [`CommitPosition::watch`] began.
    pub fn unwatch(&self, name: u64) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.called.retain(|(known, _)| *known != name);
    }
}

#[cfg(test)]
mod tests {
    use talos_model::Sequence;

    use super::*;

    #[test]
    fn the_in_flight_position_goes_before_the_position() {
        let at = |sequence| Position {
            sequence: Sequence(sequence),
            ..Position::START
        };
        let head = CommitPosition::new(at(3));
        let mut moves = vec![head.moves()];
        let mut both = |head: &CommitPosition| {
            moves.push(head.moves());
            (head.committed(), head.in_flight())
        };
        head.begin(at(5));
        assert_eq!(both(&head), (at(3), at(5)));
        head.abandon();
        assert_eq!(both(&head), (at(3), at(3)));
        head.begin(at(4));
        assert_eq!(both(&head), (at(3), at(4)));
        head.advance(at(4));
        assert_eq!(both(&head), (at(4), at(4)));
        // What was copied from another node may end before what was here.
        head.advance(at(2));
        assert_eq!(both(&head), (at(2), at(2)));
        assert!(moves.is_sorted_by(|one, next| one < next), "{moves:?}");
    }
}
