//! What a write waits for after it is durable with the primary: that it is durable, and visible, with replicas.
//!
//! Guarantees:
//! - `Wait::Count(n)`: when the write is acknowledged, n replicas have it on disk.
//! - `Wait::AllFresh`: when the write is acknowledged, every replica that still takes itself to be up to date with this primary
//!   has it on disk and shows it. Those that are connected have acknowledged it. One whose connection has ended may go on to
//!   answer for as long as it was last told; so it is waited for until that time is over. A primary that has just started
//!   does not know who that might be, and waits as long once.
//! - A write that waited too long is not acknowledged, and says so; it stays durable with the primary, and replicas get it.

use std::collections::{HashMap, VecDeque};

use crate::limits::{REPLICAS, WAITING_WRITES};
use crate::position::{NodeId, Position, Sequence};

/// What a write waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// So many replicas.
    Count(usize),
    /// So many replicas, and every one that takes itself to be up to date.
    AllFresh(usize),
}

/// A write that waits, as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of a write that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is where it was to be.
    Replicated(Ticket),
    /// It took too long.
    TimedOut(Ticket),
}

/// No more writes can wait; the caller may try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_WRITES} writes are waiting for replicas already")]
pub struct TooManyWaiting;

#[derive(Clone, Copy, Debug)]
struct Replica {
    durable: Sequence,
    max_staleness_ms: u64,
    heard_ms: u64,
    /// Which of its connections this is known from; `None` = it has ended.
    connection: Option<u64>,
}

impl Replica {
    /// Whether it takes itself to be up to date, for all that is known.
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

/// The replicas of a primary, and the writes that wait for them.
#[derive(Debug)]
pub struct Acks {
    replicas: HashMap<NodeId, Replica>,
    waiting: VecDeque<Waiting>,
    /// Until when replicas that nobody has told of may take themselves to be up to date.
    unknown_until_ms: u64,
}

impl Acks {
    /// Of a primary that has just begun, in a cluster whose replicas take themselves to be up to date for at most so long.
    #[must_use]
    pub fn new(now_ms: u64, max_staleness_ms: u64) -> Self {
        Self {
            replicas: HashMap::new(),
            waiting: VecDeque::new(),
            unknown_until_ms: now_ms.saturating_add(max_staleness_ms),
        }
    }

    /// A feed has said that its replica can be waited for; `connection` is a number that no other feed has.
    pub fn on_joined(
        &mut self,
        now_ms: u64,
        node: NodeId,
        connection: u64,
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
            connection: Some(connection),
        };
        self.replicas.insert(node, replica);
        self.release(now_ms)
    }

    /// A feed has heard of its replica.
    pub fn on_acknowledged(
        &mut self,
        now_ms: u64,
        node: NodeId,
        connection: u64,
        durable: Position,
    ) -> Vec<Released> {
        if let Some(replica) = self.replicas.get_mut(&node)
            && replica.connection == Some(connection)
        {
            replica.durable = replica.durable.max(durable.sequence);
            replica.heard_ms = now_ms;
        }
        self.release(now_ms)
    }

    /// A feed has ended.
    pub fn on_left(&mut self, node: NodeId, connection: u64) {
        if let Some(replica) = self.replicas.get_mut(&node)
            && replica.connection == Some(connection)
        {
            replica.connection = None;
            if crate::failpoint::forgets_leases() {
                self.replicas.remove(&node);
            }
        }
    }

    /// A write at this position is durable with the primary, and waits at most until `deadline_ms`.
    ///
    /// # Errors
    /// Too many wait already.
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

    /// Looks at the time.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<Released> {
        self.release(now_ms)
    }

    /// The node's last durable change, as far as it has said; for the display.
    #[must_use]
    pub fn durable_of(&self, node: NodeId) -> Option<Sequence> {
        self.replicas.get(&node).map(|replica| replica.durable)
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
    use crate::position::Epoch;

    const STALENESS_MS: u64 = 1000;
    const NODES: [NodeId; 2] = [NodeId([1; 16]), NodeId([2; 16])];

    fn at(sequence: u64) -> Position {
        Position {
            epoch: Epoch(1),
            sequence: Sequence(sequence),
        }
    }

    /// A primary that has been there for long, with two replicas at position 5.
    fn acks() -> Acks {
        let mut acks = Acks::new(0, STALENESS_MS);
        for (connection, node) in (0..).zip(NODES) {
            let released = acks.on_joined(5000, node, connection, at(5), STALENESS_MS);
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
            |now, node: usize| acks.on_acknowledged(now, NODES[node], node as u64, at(6));
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
        let released = acks.on_acknowledged(5500, NODES[0], 0, at(6));
        assert_eq!(released, []);
        // Told so for the last time at 5700, or before.
        acks.on_acknowledged(5700, NODES[1], 1, at(5));
        acks.on_left(NODES[1], 1);
        assert_eq!(acks.on_tick(6700), []);
        assert_eq!(acks.on_tick(6701), [Released::Replicated(Ticket(1))]);
    }

    #[test]
    fn an_old_connection_does_not_end_a_new_one() {
        let mut acks = acks();
        acks.on_joined(5100, NODES[1], 7, at(5), STALENESS_MS);
        acks.on_left(NODES[1], 1);
        acks.on_acknowledged(5200, NODES[0], 0, at(6));
        acks.on_acknowledged(5200, NODES[1], 1, at(6));
        assert_eq!(wait(&mut acks, 1, 6, Wait::AllFresh(0)), []);
        assert_eq!(acks.on_tick(8000), []);
        let released = acks.on_acknowledged(8001, NODES[1], 7, at(6));
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
