//! How far a replica is behind, measured with its own clock only.
//!
//! Guarantees: the staleness is never understated, whatever the delay of messages and the offset of
//! clocks. A replica sends its own time in a status update; the primary repeats it in a heartbeat
//! next to its last change. When the replica has applied that change, it holds everything that was
//! durable at the primary when the status update was sent: it is as fresh as that moment. Only the
//! rates of the clocks must agree.

use std::collections::VecDeque;

use talos_model::Sequence;

use crate::limits::PROMISES;
use crate::message::Heartbeat;

/// A replica that has applied the change `committed` is as fresh as `moment_ms`.
#[derive(Clone, Copy, Debug)]
struct Promise {
    committed: Sequence,
    moment_ms: u64,
}

/// How far a replica is behind its primary.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    applied: Sequence,
    committed: Sequence,
    promises: VecDeque<Promise>,
    fresh_ms: Option<u64>,
}

impl Lag {
    /// Creates the lag of a replica that has applied the changes up to `applied` and has received
    /// no heartbeat.
    #[must_use]
    pub fn new(applied: Sequence) -> Self {
        Self {
            applied,
            committed: applied,
            ..Self::default()
        }
    }

    /// Handles a heartbeat.
    pub fn on_heartbeat(&mut self, heartbeat: &Heartbeat) {
        self.committed = self.committed.max(heartbeat.committed.sequence);
        let Some(moment_ms) = heartbeat.echo_ms else {
            return;
        };
        // When the queue is full the newest promise is dropped: the older ones overstate the
        // staleness.
        if self.promises.len() < PROMISES {
            let committed = heartbeat.committed.sequence;
            self.promises.push_back(Promise {
                committed,
                moment_ms,
            });
        }
        self.redeem();
    }

    /// The changes up to `applied` are durable and visible.
    pub fn on_applied(&mut self, applied: Sequence) {
        self.applied = applied;
        self.committed = self.committed.max(applied);
        self.redeem();
    }

    fn redeem(&mut self) {
        while let Some(promise) = self.promises.front().copied() {
            if promise.committed > self.applied {
                return;
            }
            self.fresh_ms = self.fresh_ms.max(Some(promise.moment_ms));
            self.promises.pop_front();
        }
    }

    /// How many changes are missing, as far as the primary has announced them.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.committed.0.saturating_sub(self.applied.0)
    }

    /// For how many milliseconds the primary may have had changes that are missing here; `None` if
    /// no primary was reached since the start.
    #[must_use]
    pub fn staleness_ms(&self, now_ms: u64) -> Option<u64> {
        self.fresh_ms.map(|fresh| now_ms.saturating_sub(fresh))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use talos_model::{Epoch, Position};

    fn heartbeat(committed: u64, echo_ms: u64) -> Heartbeat {
        Heartbeat {
            committed: Position {
                epoch: Epoch(1),
                sequence: Sequence(committed),
            },
            time_ms: 77,
            echo_ms: Some(echo_ms),
        }
    }

    #[test]
    fn a_replica_is_as_fresh_as_the_last_promise_that_it_has_redeemed() {
        let mut lag = Lag::new(Sequence(5));
        assert_eq!(lag.staleness_ms(1000), None);
        lag.on_heartbeat(&heartbeat(7, 1000));
        assert_eq!((lag.changes(), lag.staleness_ms(1010)), (2, None));
        lag.on_applied(Sequence(6));
        assert_eq!((lag.changes(), lag.staleness_ms(1010)), (1, None));
        lag.on_applied(Sequence(7));
        assert_eq!((lag.changes(), lag.staleness_ms(1010)), (0, Some(10)));
        lag.on_heartbeat(&heartbeat(9, 1100));
        assert_eq!((lag.changes(), lag.staleness_ms(1200)), (2, Some(200)));
        lag.on_applied(Sequence(9));
        assert_eq!(lag.staleness_ms(1200), Some(100));
    }

    #[test]
    fn a_heartbeat_without_an_echo_promises_nothing() {
        let mut lag = Lag::new(Sequence(5));
        lag.on_heartbeat(&Heartbeat {
            echo_ms: None,
            ..heartbeat(5, 0)
        });
        assert_eq!(lag.staleness_ms(1000), None);
    }

    #[test]
    fn promises_that_find_no_place_are_not_kept() {
        let mut lag = Lag::new(Sequence(0));
        for echo in 0..PROMISES as u64 + 50 {
            lag.on_heartbeat(&heartbeat(1, echo));
        }
        lag.on_applied(Sequence(1));
        assert_eq!(lag.staleness_ms(1000), Some(1001 - PROMISES as u64));
    }
}
