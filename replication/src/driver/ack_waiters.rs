//! Writes that wait for replicas. Thread safe.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use talos_model::Position;
use tokio::sync::oneshot;

use super::clock::now_ms;
use crate::acks::{Acks, Released, ReplicaConnection, Ticket, TooManyWaiting, Wait};
use crate::limits::WAITING_WRITES;

/// The required replicas have not confirmed the write. It is durable at the primary, and replicas
/// still receive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplicated {
    /// Too few replicas have confirmed in time; they may still do so later.
    #[error("too few replicas have the write after the time that it may wait")]
    TimedOut,
    /// The primary has stopped.
    #[error("the primary has stopped")]
    Stopped,
    /// Too many writes wait; retry later.
    #[error(transparent)]
    TooManyWaiting(#[from] TooManyWaiting),
}

/// A write that waits for replicas.
#[derive(Debug)]
pub struct Waiting(oneshot::Receiver<Result<(), NotReplicated>>);

impl Waiting {
    /// Waits for the result.
    ///
    /// # Errors
    /// [`NotReplicated`]: the write must not be acknowledged.
    pub async fn outcome(self) -> Result<(), NotReplicated> {
        self.0.await.unwrap_or(Err(NotReplicated::Stopped))
    }

    /// Blocks until the result is there. Not for threads of an async runtime.
    ///
    /// # Errors
    /// [`NotReplicated`]: the write must not be acknowledged.
    pub fn blocking_outcome(self) -> Result<(), NotReplicated> {
        self.0
            .blocking_recv()
            .unwrap_or(Err(NotReplicated::Stopped))
    }
}

struct State {
    acks: Acks,
    callers: HashMap<Ticket, oneshot::Sender<Result<(), NotReplicated>>>,
    next: u64,
    stopped: bool,
}

impl State {
    /// Forgets the writes whose callers have gone.
    fn forget_abandoned(&mut self) {
        self.callers.retain(|_, caller| !caller.is_closed());
        let callers = &self.callers;
        self.acks.retain(|ticket| callers.contains_key(&ticket));
    }

    fn release(&mut self, released: Vec<Released>) {
        for one in released {
            let (ticket, outcome) = match one {
                Released::Replicated(ticket) => (ticket, Ok(())),
                Released::TimedOut(ticket) => (ticket, Err(NotReplicated::TimedOut)),
            };
            if let Some(caller) = self.callers.remove(&ticket) {
                // The caller may have stopped waiting.
                let _ = caller.send(outcome);
            }
        }
    }
}

/// The writes that wait, and the replicas they wait for.
pub(super) struct AckWaiters(Mutex<State>);

impl AckWaiters {
    pub(super) fn new(max_staleness_ms: u64) -> Self {
        Self(Mutex::new(State {
            acks: Acks::new(now_ms(), max_staleness_ms),
            callers: HashMap::new(),
            next: 0,
            stopped: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait(
        &self,
        position: Position,
        wait: Wait,
        at_most: Duration,
    ) -> Result<Waiting, NotReplicated> {
        let now_ms = now_ms();
        let at_most = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        if state.stopped {
            return Err(NotReplicated::Stopped);
        }
        let ticket = Ticket(state.next);
        state.next += 1;
        let deadline_ms = now_ms.saturating_add(at_most);
        if state.callers.len() >= WAITING_WRITES {
            state.forget_abandoned();
        }
        let (caller, waiting) = oneshot::channel();
        state.callers.insert(ticket, caller);
        match state.acks.wait(now_ms, ticket, position, wait, deadline_ms) {
            Ok(released) => state.release(released),
            Err(too_many) => {
                state.callers.remove(&ticket);
                return Err(too_many.into());
            }
        }
        Ok(Waiting(waiting))
    }

    /// How many replicas are connected.
    pub(super) fn connected(&self) -> usize {
        self.lock().acks.connected()
    }

    pub(super) fn joined(
        &self,
        connection: ReplicaConnection,
        durable: Position,
        max_staleness_ms: u64,
    ) {
        let mut state = self.lock();
        let released = state
            .acks
            .on_joined(now_ms(), connection, durable, max_staleness_ms);
        state.release(released);
    }

    pub(super) fn acknowledged(&self, connection: ReplicaConnection, durable: Position) {
        let mut state = self.lock();
        let released = state.acks.on_acknowledged(now_ms(), connection, durable);
        state.release(released);
    }

    pub(super) fn left(&self, connection: ReplicaConnection) {
        self.lock().acks.on_left(connection);
    }

    pub(super) fn on_tick(&self) {
        let mut state = self.lock();
        let released = state.acks.on_tick(now_ms());
        state.release(released);
    }

    /// Ends all waits with [`NotReplicated::Stopped`], later ones too.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.callers.clear();
    }
}

#[cfg(test)]
mod tests {
    use talos_model::{Epoch, Sequence};

    use super::*;

    #[test]
    fn callers_that_have_gone_give_their_places_back() {
        let waiters = AckWaiters::new(0);
        let position = Position {
            epoch: Epoch(1),
            sequence: Sequence(1),
        };
        let wait = || waiters.wait(position, Wait::Count(1), Duration::from_secs(3600));
        let mut stays: Vec<_> = (0..WAITING_WRITES).map(|_| wait().unwrap()).collect();
        assert!(matches!(wait(), Err(NotReplicated::TooManyWaiting(_))));
        stays.truncate(1);
        assert!(wait().is_ok());
        assert_eq!(waiters.lock().callers.len(), 2);
    }
}
