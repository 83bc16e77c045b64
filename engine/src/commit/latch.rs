//! Whether writes are stopped, why, and what can make them go on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use talos_cells::{Swap, pin};

/// What makes writes go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Room on the disk: the committing thread then opens the database anew.
    Room,
    /// A restart of the process.
    Restart,
}

/// Why writes are stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// For the operator.
    pub reason: String,
    /// What makes them go on.
    pub remedy: Remedy,
    /// Since when only this remedy helps.
    pub since: Instant,
}

/// Read by all threads without a lock; only the committing thread sets it.
pub struct Latch {
    stopped: Swap<Option<Stopped>>,
    stops: AtomicU64,
}

impl Latch {
    /// Writes are accepted.
    pub fn open() -> Self {
        Self {
            stopped: Swap::new(None),
            stops: AtomicU64::new(0),
        }
    }

    /// Why writes are stopped, if they are.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped.read().clone()
    }

    /// Stops writes. The first reason stays, unless it could be remedied without a restart.
    pub fn stop(&self, reason: String, remedy: Remedy) {
        let known = self.stopped().map(|stopped| stopped.remedy);
        if known.is_none() || known == Some(Remedy::Room) && remedy == Remedy::Restart {
            let stopped = Stopped {
                reason,
                remedy,
                since: Instant::now(),
            };
            self.stopped.store(Some(stopped), &pin());
            if known.is_none() {
                self.stops.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// How often writes were stopped.
    pub fn stops(&self) -> u64 {
        self.stops.load(Ordering::Acquire)
    }

    /// Accepts writes again.
    pub fn release(&self) {
        self.stopped.store(None, &pin());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worse_reason_replaces_one_that_room_would_remedy() {
        let latch = Latch::open();
        let state = || {
            latch
                .stopped()
                .map(|stopped| (stopped.reason, stopped.remedy))
        };
        assert_eq!(state(), None);
        for (reason, remedy, kept) in [
            ("full", Remedy::Room, "full"),
            ("full again", Remedy::Room, "full"),
            ("damaged", Remedy::Restart, "damaged"),
            ("full", Remedy::Room, "damaged"),
        ] {
            latch.stop(reason.to_owned(), remedy);
            assert_eq!(state().map(|(reason, _)| reason).as_deref(), Some(kept));
        }
        assert_eq!(latch.stops(), 1);
        latch.release();
        assert_eq!(state(), None);
        latch.stop("full".to_owned(), Remedy::Room);
        assert_eq!(latch.stops(), 2);
    }
}
