//! How far a node's changes reach, for whoever has to go on when there are more.
//!
//! Guarantees: a change is durable and published before the position says so; nobody is shown a change before the ceiling says
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
pub struct Head {
    position: Swap<Position>,
    ceiling: Swap<Position>,
    /// Counts what happens to either. Written after it: who sees the count sees what it stands for.
    moves: AtomicU64,
    watchers: Mutex<Watchers>,
}

impl Head {
    /// A head at `position`.
    pub fn new(position: Position) -> Self {
        Self {
            position: Swap::new(position),
            ceiling: Swap::new(position),
            moves: AtomicU64::new(0),
            watchers: Mutex::default(),
        }
    }

    /// The last change that is durable and published.
    pub fn position(&self) -> Position {
        *self.position.load(&pin())
    }

    /// The last change that anybody can have been shown: of the group that is being written, or else [`Head::position`].
    pub fn ceiling(&self) -> Position {
        *self.ceiling.load(&pin())
    }

    /// Another number whenever the position or the ceiling has moved.
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// Everything up to `position` is about to be written: storage shows it before it is published.
    pub fn rise(&self, position: Position) {
        self.ceiling.store(position, &pin());
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// What was about to be written could not be, and nobody has seen it.
    pub fn fall_back(&self) {
        let guard = pin();
        self.ceiling.store(*self.position.load(&guard), &guard);
        self.moves.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything up to `position` is durable and published.
    pub fn advance(&self, position: Position) {
        let guard = pin();
        self.position.store(position, &guard);
        self.ceiling.store(position, &guard);
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

    /// Ends what [`Head::watch`] began.
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
    fn the_ceiling_goes_before_the_position() {
        let at = |sequence| Position {
            sequence: Sequence(sequence),
            ..Position::START
        };
        let head = Head::new(at(3));
        let mut moves = vec![head.moves()];
        let mut both = |head: &Head| {
            moves.push(head.moves());
            (head.position(), head.ceiling())
        };
        head.rise(at(5));
        assert_eq!(both(&head), (at(3), at(5)));
        head.fall_back();
        assert_eq!(both(&head), (at(3), at(3)));
        head.rise(at(4));
        assert_eq!(both(&head), (at(3), at(4)));
        head.advance(at(4));
        assert_eq!(both(&head), (at(4), at(4)));
        // What was copied from another node may end before what was here.
        head.advance(at(2));
        assert_eq!(both(&head), (at(2), at(2)));
        assert!(moves.is_sorted_by(|one, next| one < next), "{moves:?}");
    }
}
