//! How far a node's changes reach, for whoever has to go on when there are more.
//!
//! Guarantees: a change is durable and published before it is told of here; who reads the position takes no lock. Those who are
//! called when it moves are few ([`HEAD_WATCHERS`]) and are called on the committing thread, after it has published.

use std::sync::{Arc, Mutex, PoisonError};

use talos_cells::{Swap, pin};

use crate::ids::Position;
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
    watchers: Mutex<Watchers>,
}

impl Head {
    /// A head at `position`.
    pub fn new(position: Position) -> Self {
        Self {
            position: Swap::new(position),
            watchers: Mutex::default(),
        }
    }

    /// The last change that is durable and published.
    pub fn position(&self) -> Position {
        *self.position.load(&pin())
    }

    /// Everything up to `position` is durable and published.
    pub fn advance(&self, position: Position) {
        self.position.store(position, &pin());
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
