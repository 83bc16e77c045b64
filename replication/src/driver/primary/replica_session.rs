//! A connected replica that has proven its identity, as its primary serves it.

use talos_model::{CopyEnd, Position};
use tokio::sync::watch;

use super::PrimaryNode;
use super::lag_timer::LagTimer;
use super::registry::{FedState, Registration, Report};
use crate::driver::clock::{now_ms, wall_ms};
use crate::driver::storage_worker::StorageWorker;
use crate::feed::{Feed, Moment};
use crate::message::{Message, Plan};
use crate::source::SourceWork;

pub(super) struct ReplicaSession<N: PrimaryNode> {
    pub(super) feed: Feed,
    pub(super) worker: StorageWorker<N::Source, SourceWork>,
    /// The primary's last durable change.
    pub(super) committed: watch::Receiver<Position>,
    pub(super) registration: Registration,
    lag_timer: LagTimer,
    report: Report,
}

impl<N: PrimaryNode> ReplicaSession<N> {
    pub(super) fn new(
        feed: Feed,
        source: N::Source,
        committed: watch::Receiver<Position>,
        registration: Registration,
    ) -> Self {
        Self {
            feed,
            worker: StorageWorker::new(source),
            committed,
            registration,
            lag_timer: LagTimer::default(),
            report: Report::default(),
        }
    }

    /// The clocks and the last durable change, read now.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            now_ms: now_ms(),
            wall_ms: wall_ms(),
            committed: *self.committed.borrow(),
        }
    }

    /// The replica holds the changes up to `durable`.
    pub(super) fn on_durable(&mut self, durable: Position) {
        self.report.durable = Some(durable);
        self.lag_timer.on_durable(durable.sequence);
        self.report();
    }

    /// Derives what the replica gets from a message to it.
    pub(super) fn on_sent(&mut self, message: &Message) {
        let state = match message {
            Message::Welcome(welcome) => match welcome.plan {
                Plan::Feed(_) => FedState::Following,
                Plan::Copy(_) => FedState::Copying,
            },
            Message::Chunk(chunk) if chunk.end == CopyEnd::Last => FedState::Following,
            _ => return,
        };
        self.report.state = state;
        self.report();
    }

    /// Updates the registry's entry.
    pub(super) fn report(&mut self) {
        if self.report.durable.is_some() {
            let committed = self.committed.borrow().sequence;
            self.lag_timer.on_committed(now_ms(), committed);
        }
        self.report.behind_since_ms = self.lag_timer.since_ms();
        self.registration.report(self.report);
    }
}
