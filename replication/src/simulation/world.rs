//! The simulated world: all nodes, the network, and the choice of the next step.

use talos_model::Epoch;

use super::checks::{self, Write};
use super::network::{Arrival, Delivery, Network};
use super::node::{Node, Role};
use super::store::{Key, Op, Store, Sync};
use super::{KeyName, Violation, note};
use crate::acks::{Released, Ticket, Wait};
use crate::random::Random;

/// Rounds within which a cluster without faults settles.
const ROUNDS: usize = 2000;

pub struct World {
    pub random: Random,
    pub now_ms: u64,
    pub nodes: Vec<Node>,
    pub network: Network,
    /// The node that was promoted last.
    pub leader: usize,
    /// The greatest epoch that the operator has used.
    pub epochs: u64,
    /// The number of replicas that every acknowledged write waits for.
    pub acks_min: usize,
    /// A fault is injected in one of this many chances.
    calm: usize,
    writes: Vec<Write>,
    next_key: KeyName,
}

impl World {
    pub fn new(seed: u64, sync: Sync) -> Self {
        let mut random = Random::new(seed);
        let count = 3 + random.below(2);
        let faulty = random.one_in(4);
        let mut nodes = Vec::new();
        for number in 0..count {
            let store = Store::new(random.draw(), sync);
            let mut node = Node::new(number, store, Random::new(random.draw()));
            node.role = Role::Replica(0);
            node.loses_changes = if faulty { 12 } else { 0 };
            nodes.push(node);
        }
        nodes[0].role = Role::Primary;
        let mut world = Self {
            acks_min: random.below(3),
            calm: 1 + random.below(4),
            random,
            now_ms: 0,
            nodes,
            network: Network::default(),
            leader: 0,
            epochs: 1,
            writes: Vec::new(),
            next_key: 0,
        };
        for number in 0..count {
            world.start(number);
        }
        world
    }

    pub fn start(&mut self, number: usize) {
        let now_ms = self.now_ms;
        self.nodes[number].start(now_ms);
    }

    /// Stops the process of a node. Its storage stays.
    pub fn stop(&mut self, number: usize) {
        self.network.crash(number, &mut self.random);
        self.nodes[number].process = None;
    }

    fn any_node(&mut self) -> usize {
        self.random.below(self.nodes.len())
    }

    pub fn step(&mut self) -> Result<(), Violation> {
        match self.random.below(100) {
            0..=44 => {
                self.deliver();
            }
            45..=66 => {
                let number = self.any_node();
                self.nodes[number].work(self.now_ms, &mut self.network);
            }
            67..=79 => self.pass_time(),
            80..=87 => self.write(),
            88..=93 => {
                let number = self.any_node();
                return self.read(number);
            }
            _ if self.random.one_in(self.calm) => self.disturb(),
            _ => self.pass_time(),
        }
        self.collect()
    }

    fn deliver(&mut self) -> bool {
        let Some(delivery) = self.network.arrival(&mut self.random) else {
            return false;
        };
        let Delivery {
            connection,
            node,
            end,
            arrival,
        } = delivery;
        let node = &mut self.nodes[node];
        match arrival {
            Arrival::Bytes(bytes) => {
                node.on_bytes(self.now_ms, connection, end, &bytes, &mut self.network);
            }
            Arrival::End => node.hang_up(connection, end, &mut self.network),
        }
        true
    }

    fn pass_time(&mut self) {
        let longest = if self.random.one_in(60) { 7000 } else { 60 };
        self.now_ms += 1 + self.random.draw() % longest;
        for number in 0..self.nodes.len() {
            if !self.random.one_in(4) {
                self.tick(number);
            }
        }
    }

    fn tick(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        node.on_tick(self.now_ms, &mut self.network);
        let Some(target) = node.would_call() else {
            return;
        };
        // Not always at once.
        if self.random.one_in(2) {
            return;
        }
        if self.nodes[target].process.is_none() {
            return;
        }
        if let Some(id) = self.network.connect(number, target) {
            self.nodes[number].call(self.now_ms, id, &mut self.network);
            self.nodes[target].on_called(self.now_ms, id, &mut self.network);
        }
    }

    fn write(&mut self) {
        let number = if self.random.one_in(3) {
            self.any_node()
        } else {
            self.leader
        };
        let node = &mut self.nodes[number];
        let valid: Vec<_> = node
            .store
            .state
            .keys
            .iter()
            .filter(|(_, key)| **key == Key::Valid)
            .map(|(name, _)| *name)
            .collect();
        let revoked = if self.random.one_in(2) {
            self.random.pick(&valid).copied()
        } else {
            None
        };
        let (op, key) = match revoked {
            Some(key) => (Op::Revoke, key),
            None => (Op::Issue, self.next_key),
        };
        let wait = if op == Op::Revoke && self.random.one_in(2) {
            Wait::AllFresh(self.acks_min)
        } else {
            Wait::Count(self.acks_min)
        };
        let ticket = Ticket(self.writes.len() as u64);
        let Some(position) = node.write(self.now_ms, op, key, ticket, wait) else {
            return;
        };
        if op == Op::Issue {
            self.next_key += 1;
        }
        self.writes.push(Write {
            epoch_id: node.store.history().newest_id(),
            position,
            key,
            op,
            wait,
            acknowledged: false,
        });
        if self.random.one_in(2) {
            node.announce(self.now_ms, &mut self.network);
        }
    }

    /// Delivers acknowledgements to the clients, which then read from the nodes at once.
    fn collect(&mut self) -> Result<(), Violation> {
        let mut to_read = false;
        for node in &mut self.nodes {
            let Some(primary) = node.primary() else {
                continue;
            };
            for released in primary.released.drain(..) {
                let Released::Replicated(Ticket(ticket)) = released else {
                    note("write timed out");
                    continue;
                };
                let write = &mut self.writes[usize::try_from(ticket).unwrap()];
                write.acknowledged = true;
                to_read |= matches!(write.wait, Wait::AllFresh(_));
                note(match write.wait {
                    Wait::Count(_) => "write acknowledged",
                    Wait::AllFresh(_) => "write acknowledged by all that are fresh",
                });
            }
        }
        let readers = if to_read { self.nodes.len() } else { 0 };
        (0..readers).try_for_each(|number| self.read(number))
    }

    fn read(&mut self, number: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[number];
        checks::read(node, self.now_ms, &self.writes, self.acks_min)
    }

    fn disturb(&mut self) {
        let number = self.any_node();
        match self.random.below(18) {
            0..=1 => {
                self.stop(number);
                self.nodes[number].store.crash();
            }
            2..=5 => {
                if self.nodes[number].process.is_none() {
                    self.start(number);
                }
            }
            6 => self.network.cut_any(&mut self.random),
            7 => {
                let other = self.any_node();
                self.network.part(number, other);
            }
            8 => self.network.heal(),
            9 => self.promote(),
            10..=11 => self.repoint(number),
            12 => self.resync(number),
            13 => self.nodes[number].store.trim(),
            14..=16 => self.back_up_or_restore(),
            _ => self.network.damage_any(&mut self.random),
        }
    }

    /// Restores the primary from a backup without beginning a new epoch, in a cluster where no
    /// write needs to survive. This is a mistake: the primary then uses sequences a second time.
    fn back_up_or_restore(&mut self) {
        let leader = self.leader;
        if self.acks_min > 0 || self.random.one_in(2) {
            return self.nodes[leader].store.back_up();
        }
        if self.nodes[leader].store.restore() {
            note("primary brought back from a backup");
            let up = self.nodes[leader].process.is_some();
            self.stop(leader);
            if up {
                self.start(leader);
            }
            // The restore loses them, as documented.
            self.writes
                .iter_mut()
                .for_each(|write| write.acknowledged = false);
        }
    }

    /// Ends all faults, lets the cluster settle, and compares the nodes.
    pub fn come_to_rest(&mut self) -> Result<(), Violation> {
        self.network.heal();
        let newest = self.nodes.iter().map(|node| node.store.history().newest());
        let newest = newest.max().unwrap_or(Epoch::FIRST);
        for number in 0..self.nodes.len() {
            self.stop(number);
            self.nodes[number].loses_changes = 0;
            self.nodes[number].role = Role::Replica(self.leader);
        }
        if newest > self.nodes[self.leader].store.history().newest() {
            note("epoch raised for the last time");
            self.promote_to(self.leader, Epoch(newest.0 + 1));
        }
        self.nodes[self.leader].role = Role::Primary;
        for number in 0..self.nodes.len() {
            self.start(number);
        }
        let (leader, ticket) = (self.leader, Ticket(u64::MAX));
        let all = Wait::Count(self.nodes.len());
        let written = self.nodes[leader].write(self.now_ms, Op::Issue, KeyName::MAX, ticket, all);
        assert!(written.is_some(), "a leader writes");
        for _ in 0..ROUNDS {
            self.now_ms += 20;
            for number in 0..self.nodes.len() {
                self.tick(number);
                self.resync(number);
                let node = &mut self.nodes[number];
                (0..ROUNDS).all(|_| node.work(self.now_ms, &mut self.network));
                self.read(number)?;
            }
            (0..ROUNDS).all(|_| self.deliver());
            if let Some(what) = super::VIOLATED.get() {
                return Err(what.to_owned());
            }
            if self.is_at_rest() {
                let leader = &self.nodes[leader].store;
                for node in &self.nodes {
                    checks::equal(&node.store, leader)?;
                }
                return checks::kept(leader, &self.writes, self.acks_min);
            }
        }
        Err(format!("no rest: {}", self.describe()))
    }

    /// Describes all nodes, for a failure.
    fn describe(&mut self) -> String {
        let leader = self.leader;
        let node = |node: &mut Node| {
            let place = node.store.state.durable.progress.clone();
            let epoch = node.store.history().newest().0;
            let stop = node
                .replica()
                .and_then(|replica| replica.follow.stop().cloned());
            format!(
                "node {} {:?} epoch {epoch} {place:?} {stop:?}",
                node.number, node.role
            )
        };
        let nodes: Vec<_> = self.nodes.iter_mut().map(node).collect();
        format!("leader {leader}, {}", nodes.join(", "))
    }

    fn is_at_rest(&self) -> bool {
        let leader = &self.nodes[self.leader].store;
        let caught_up = |node: &Node| {
            // Compares the digest as well: a replica of a restored primary may have reached the
            // same position before.
            node.store.state.durable == leader.state.durable
        };
        self.nodes.iter().all(caught_up)
    }
}
