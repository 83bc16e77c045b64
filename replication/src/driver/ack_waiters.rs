//! Writes that wait for replicas. Thread safe.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::clock::now_ms;
use crate::acks::{Acks, Released, ReplicaConnection, Ticket, TooManyWaiting, Wait};
use crate::position::Position;

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

struct Register {
    acks: Acks,
    owners: HashMap<Ticket, oneshot::Sender<Result<(), NotReplicated>>>,
    next: u64,
    stopped: bool,
}

impl Register {
    fn tell(&mut self, released: Vec<Released>) {
        for one in released {
            let (ticket, outcome) = match one {
                Released::Replicated(ticket) => (ticket, Ok(())),
                Released::TimedOut(ticket) => (ticket, Err(NotReplicated::TimedOut)),
            };
            if let Some(owner) = self.owners.remove(&ticket) {
                // The caller may have stopped waiting.
                let _ = owner.send(outcome);
            }
        }
    }
}

/// The writes that wait, and the replicas they wait for.
pub(super) struct AckWaiters(Mutex<Register>);

impl AckWaiters {
    pub(super) fn new(max_staleness_ms: u64) -> Self {
        Self(Mutex::new(Register {
            acks: Acks::new(now_ms(), max_staleness_ms),
            owners: HashMap::new(),
            next: 0,
            stopped: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
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
        let mut register = self.lock();
        if register.stopped {
            return Err(NotReplicated::Stopped);
        }
        let ticket = Ticket(register.next);
        register.next += 1;
        let deadline_ms = now_ms.saturating_add(at_most);
        let (owner, waiting) = oneshot::channel();
        register.owners.insert(ticket, owner);
        match register
            .acks
            .wait(now_ms, ticket, position, wait, deadline_ms)
        {
            Ok(released) => register.tell(released),
            Err(too_many) => {
                register.owners.remove(&ticket);
                return Err(too_many.into());
            }
        }
        Ok(Waiting(waiting))
    }

    pub(super) fn joined(
        &self,
        connection: ReplicaConnection,
        durable: Position,
        max_staleness_ms: u64,
    ) {
        let mut register = self.lock();
        let released = register
            .acks
            .on_joined(now_ms(), connection, durable, max_staleness_ms);
        register.tell(released);
    }

    pub(super) fn acknowledged(&self, connection: ReplicaConnection, durable: Position) {
        let mut register = self.lock();
        let released = register.acks.on_acknowledged(now_ms(), connection, durable);
        register.tell(released);
    }

    pub(super) fn left(&self, connection: ReplicaConnection) {
        self.lock().acks.on_left(connection);
    }

    pub(super) fn on_tick(&self) {
        let mut register = self.lock();
        let released = register.acks.on_tick(now_ms());
        register.tell(released);
    }

    /// Ends all waits with [`NotReplicated::Stopped`], later ones too.
    pub(super) fn stop(&self) {
        let mut register = self.lock();
        register.stopped = true;
        register.owners.clear();
    }
}
