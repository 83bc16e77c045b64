//! Writes that wait for replicas. A write is durable at the primary first; it is acknowledged when
//! enough replicas have it on disk and show it.
//!
//! Guarantees:
//! - `Wait::Count(n)`: when the write is acknowledged, n replicas have it on disk.
//! - `Wait::AllFresh(n)`: in addition, every replica that still considers itself up to date with
//!   this primary has the write on disk and shows it. Connected replicas have acknowledged it. A
//!   disconnected replica may go on answering until its staleness limit is over, so the write waits
//!   for that long. A primary that has just started does not know its replicas, and waits once for
//!   the longest staleness limit.
//! - A write that waits too long times out and is not acknowledged. It stays durable at the
//!   primary, and replicas still receive it.

use std::collections::{HashMap, VecDeque};

use talos_model::{Position, Sequence};

use crate::ids::NodeId;
use crate::limits::{REPLICAS, WAITING_WRITES};

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// This many replicas.
    Count(usize),
    /// This many replicas, and every replica that considers itself up to date.
    AllFresh(usize),
}

/// Identifies a waiting write. The caller chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The result of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// The required replicas have the write.
    Replicated(Ticket),
    /// The deadline has passed.
    TimedOut(Ticket),
}

/// Too many writes are waiting; the caller may retry later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_WRITES} writes are waiting for replicas already")]
pub struct TooManyWaiting;

/// One connection of a replica.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaConnection {
    /// The replica.
    pub node: NodeId,
    /// A number that no other connection of this primary has.
    pub number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Replica {
    durable: Sequence,
    max_staleness_ms: u64,
    heard_ms: u64,
    /// The connection that this was learned from; `None` after it has ended.
    connection: Option<u64>,
}

impl Replica {
    /// Whether the replica may still consider itself up to date.
    fn may_be_fresh(&self, now_ms: u64) -> bool {
        let over = now_ms.saturating_sub(self.heard_ms) > self.max_staleness_ms;
        self.connection.is_some() || !over
    }
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    ticket: Ticket,
    sequence: Sequence,
    wait: Wait,
    deadline_ms: u64,
}

/// The replicas of a primary and the writes that wait for them.
#[derive(Debug)]
pub struct Acks {
    replicas: HashMap<NodeId, Replica>,
    waiting: VecDeque<Waiting>,
    /// Until this time there may be fresh replicas that this primary has not heard of.
    unknown_until_ms: u64,
}

impl Acks {
    /// Creates the state of a primary that starts now. `max_staleness_ms` is the longest staleness
    /// limit of the cluster's replicas.
    #[must_use]
    pub fn new(now_ms: u64, max_staleness_ms: u64) -> Self {
        Self {
            replicas: HashMap::new(),
            waiting: VecDeque::new(),
            unknown_until_ms: now_ms.saturating_add(max_staleness_ms),
        }
    }

    /// A feed has returned [`crate::feed::FeedAction::Joined`]: writes can wait for its replica
    /// from now on.
    pub fn on_joined(
        &mut self,
        now_ms: u64,
        connection: ReplicaConnection,
        durable: Position,
        max_staleness_ms: u64,
    ) -> Vec<Released> {
        if self.replicas.len() >= REPLICAS {
            self.replicas.retain(|_, known| known.may_be_fresh(now_ms));
        }
        let replica = Replica {
            durable: durable.sequence,
            max_staleness_ms,
            heard_ms: now_ms,
            connection: Some(connection.number),
        };
        self.replicas.insert(connection.node, replica);
        self.release(now_ms)
    }

    /// A replica has confirmed that it holds the changes up to `durable`.
    pub fn on_acknowledged(
        &mut self,
        now_ms: u64,
        connection: ReplicaConnection,
        durable: Position,
    ) -> Vec<Released> {
        if let Some(replica) = self.replicas.get_mut(&connection.node)
            && replica.connection == Some(connection.number)
        {
            replica.durable = replica.durable.max(durable.sequence);
            replica.heard_ms = now_ms;
        }
        self.release(now_ms)
    }

    /// The connection of a replica has ended.
    pub fn on_left(&mut self, connection: ReplicaConnection) {
        if let Some(replica) = self.replicas.get_mut(&connection.node)
            && replica.connection == Some(connection.number)
        {
            replica.connection = None;
            if crate::failpoint::forgets_leases() {
                self.replicas.remove(&connection.node);
            }
        }
    }

    /// Adds a write that is durable at `position` here. It waits until `deadline_ms` at most.
    ///
    /// # Errors
    /// Too many writes are waiting.
    pub fn wait(
        &mut self,
        now_ms: u64,
        ticket: Ticket,
        position: Position,
        wait: Wait,
        deadline_ms: u64,
    ) -> Result<Vec<Released>, TooManyWaiting> {
        if self.waiting.len() >= WAITING_WRITES {
            return Err(TooManyWaiting);
        }
        self.waiting.push_back(Waiting {
            ticket,
            sequence: position.sequence,
            wait,
            deadline_ms,
        });
        Ok(self.release(now_ms))
    }

    /// Removes the waiting writes for which `is_needed` is false: their callers have gone.
    pub fn retain(&mut self, mut is_needed: impl FnMut(Ticket) -> bool) {
        self.waiting.retain(|one| is_needed(one.ticket));
    }

    /// Releases the writes whose time has come.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<Released> {
        self.release(now_ms)
    }

    /// The last change that the node has confirmed. For status displays.
    #[must_use]
    pub fn durable_of(&self, node: NodeId) -> Option<Sequence> {
        self.replicas.get(&node).map(|replica| replica.durable)
    }

    /// How many replicas are connected, and so can confirm a write.
    #[must_use]
    pub fn connected(&self) -> usize {
        let replicas = self.replicas.values();
        replicas
            .filter(|replica| replica.connection.is_some())
            .count()
    }

    fn release(&mut self, now_ms: u64) -> Vec<Released> {
        if self.waiting.is_empty() {
            return vec![];
        }
        let mut durable: Vec<_> = self
            .replicas
            .values()
            .map(|replica| replica.durable)
            .collect();
        durable.sort_unstable_by(|one, other| other.cmp(one));
        let fresh_have = if now_ms <= self.unknown_until_ms {
            Sequence(0)
        } else {
            self.replicas
                .values()
                .filter(|replica| replica.may_be_fresh(now_ms))
                .map(|replica| replica.durable)
                .min()
                .unwrap_or(Sequence(u64::MAX))
        };
        let some_have = |count: usize| match count.checked_sub(1) {
            None => Sequence(u64::MAX),
            Some(place) => durable.get(place).copied().unwrap_or(Sequence(0)),
        };
        let mut released = Vec::new();
        self.waiting.retain(|one| {
            let have = match one.wait {
                Wait::Count(count) => some_have(count),
                Wait::AllFresh(count) => some_have(count).min(fresh_have),
            };
            if one.sequence <= have {
                released.push(Released::Replicated(one.ticket));
            } else if now_ms >= one.deadline_ms {
                released.push(Released::TimedOut(one.ticket));
            } else {
                return true;
            }
            false
        });
        released
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use talos_model::Epoch;

    const STALENESS_MS: u64 = 1000;
    const NODES: [NodeId; 2] = [NodeId([1; 16]), NodeId([2; 16])];

    fn connection(node: usize, number: u64) -> ReplicaConnection {
        let node = NODES[node];
        ReplicaConnection { node, number }
    }

    fn at(sequence: u64) -> Position {
        Position {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
        }
    }

    /// A primary that has run for a while, with two replicas at position 5.
    fn acks() -> Acks {
        let mut acks = Acks::new(0, STALENESS_MS);
        for node in 0..NODES.len() {
            let released = acks.on_joined(5000, connection(node, node as u64), at(5), STALENESS_MS);
            assert_eq!(released, []);
        }
        acks
    }

    fn wait(acks: &mut Acks, ticket: u64, sequence: u64, wait: Wait) -> Vec<Released> {
        acks.wait(5000, Ticket(ticket), at(sequence), wait, 9000)
            .unwrap()
    }

    #[test]
    fn a_write_waits_for_as_many_as_it_was_told_to() {
        let mut acks = acks();
        assert_eq!(
            wait(&mut acks, 0, 6, Wait::Count(0)),
            [Released::Replicated(Ticket(0))]
        );
        assert_eq!(
            wait(&mut acks, 9, 5, Wait::Count(2)),
            [Released::Replicated(Ticket(9))]
        );
        assert_eq!(wait(&mut acks, 1, 6, Wait::Count(1)), []);
        assert_eq!(wait(&mut acks, 2, 6, Wait::Count(2)), []);
        assert_eq!(wait(&mut acks, 3, 6, Wait::Count(3)), []);
        let mut acknowledge =
            |now, node: usize| acks.on_acknowledged(now, connection(node, node as u64), at(6));
        assert_eq!(acknowledge(5001, 0), [Released::Replicated(Ticket(1))]);
        assert_eq!(acknowledge(5002, 0), []);
        assert_eq!(acknowledge(5003, 1), [Released::Replicated(Ticket(2))]);
        assert_eq!(acks.on_tick(8999), []);
        assert_eq!(acks.on_tick(9000), [Released::TimedOut(Ticket(3))]);
    }

    #[test]
    fn a_replica_that_has_left_is_waited_for_until_it_must_have_turned_stale() {
        let mut acks = acks();
        assert_eq!(wait(&mut acks, 1, 6, Wait::AllFresh(0)), []);
        let released = acks.on_acknowledged(5500, connection(0, 0), at(6));
        assert_eq!(released, []);
        // Its last heartbeat came at 5700 or earlier.
        acks.on_acknowledged(5700, connection(1, 1), at(5));
        acks.on_left(connection(1, 1));
        assert_eq!(acks.on_tick(6700), []);
        assert_eq!(acks.on_tick(6701), [Released::Replicated(Ticket(1))]);
    }

    #[test]
    fn an_old_connection_does_not_end_a_new_one() {
        let mut acks = acks();
        acks.on_joined(5100, connection(1, 7), at(5), STALENESS_MS);
        acks.on_left(connection(1, 1));
        acks.on_acknowledged(5200, connection(0, 0), at(6));
        acks.on_acknowledged(5200, connection(1, 1), at(6));
        assert_eq!(wait(&mut acks, 1, 6, Wait::AllFresh(0)), []);
        assert_eq!(acks.on_tick(8000), []);
        let released = acks.on_acknowledged(8001, connection(1, 7), at(6));
        assert_eq!(released, [Released::Replicated(Ticket(1))]);
    }

    #[test]
    fn a_primary_that_has_just_begun_knows_of_nobody() {
        let mut acks = Acks::new(5000, STALENESS_MS);
        assert_eq!(wait(&mut acks, 1, 6, Wait::AllFresh(0)), []);
        assert_eq!(acks.on_tick(6000), []);
        assert_eq!(acks.on_tick(6001), [Released::Replicated(Ticket(1))]);
    }

    #[test]
    fn writes_that_wait_are_bounded() {
        let mut acks = acks();
        for ticket in 0..WAITING_WRITES as u64 {
            assert_eq!(wait(&mut acks, ticket, 6, Wait::Count(1)), []);
        }
        let one_more = acks.wait(5000, Ticket(0), at(6), Wait::Count(1), 9000);
        assert_eq!(one_more, Err(TooManyWaiting));
    }
}
