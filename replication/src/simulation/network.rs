//! The simulated network: a connection is two byte streams that can stop or break anywhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::random::Random;

pub type ConnectionId = u64;

/// Bytes in transit in one direction.
#[derive(Debug, Default)]
struct Pipe {
    bytes: Vec<u8>,
    /// No more bytes come: the sender has closed, or the connection was cut.
    ended: bool,
    /// The receiver reads no more.
    deaf: bool,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Caller,
    Called,
}

impl End {
    fn place(self) -> usize {
        match self {
            Self::Caller => 0,
            Self::Called => 1,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Caller => Self::Called,
            Self::Called => Self::Caller,
        }
    }
}

#[derive(Debug)]
struct Connection {
    nodes: [usize; 2],
    /// Towards the caller, and towards the called node.
    pipes: [Pipe; 2],
}

/// What an end receives.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    Bytes(Vec<u8>),
    End,
}

/// An arrival, and where it happens.
pub struct Delivery {
    pub connection: ConnectionId,
    pub node: usize,
    pub end: End,
    pub arrival: Arrival,
}

#[derive(Debug, Default)]
pub struct Network {
    connections: BTreeMap<ConnectionId, Connection>,
    next: ConnectionId,
    /// Pairs of nodes that are partitioned.
    parted: BTreeSet<(usize, usize)>,
}

fn pair(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

impl Network {
    /// Connects two nodes, unless they are partitioned.
    pub fn connect(&mut self, caller: usize, called: usize) -> Option<ConnectionId> {
        if self.parted.contains(&pair(caller, called)) {
            return None;
        }
        let id = self.next;
        self.next += 1;
        let nodes = [caller, called];
        let pipes = Default::default();
        self.connections.insert(id, Connection { nodes, pipes });
        Some(id)
    }

    pub fn send(&mut self, id: ConnectionId, from: End, bytes: &[u8]) {
        if let Some(connection) = self.connections.get_mut(&id) {
            let pipe = &mut connection.pipes[from.other().place()];
            if !pipe.ended && !pipe.deaf {
                pipe.bytes.extend_from_slice(bytes);
            }
        }
    }

    /// Closes one end. Bytes that it has sent may still arrive.
    pub fn close(&mut self, id: ConnectionId, end: End) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.pipes[end.other().place()].ended = true;
            let inward = &mut connection.pipes[end.place()];
            inward.deaf = true;
            inward.bytes.clear();
            if connection.pipes.iter().all(|pipe| pipe.deaf) {
                self.connections.remove(&id);
            }
        }
    }

    /// Cuts all connections of a crashed node.
    pub fn crash(&mut self, node: usize, random: &mut Random) {
        let of_node = |connection: &Connection| connection.nodes.iter().position(|of| *of == node);
        let gone: Vec<_> = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((*id, of_node(connection)?)))
            .collect();
        for (id, place) in gone {
            self.cut(id, random);
            let end = if place == 0 { End::Caller } else { End::Called };
            self.close(id, end);
        }
    }

    /// Cuts a connection. Only a prefix of the bytes in transit arrives.
    fn cut(&mut self, id: ConnectionId, random: &mut Random) {
        if let Some(connection) = self.connections.get_mut(&id) {
            for pipe in &mut connection.pipes {
                let kept = random.below(pipe.bytes.len() + 1);
                pipe.bytes.truncate(kept);
                pipe.ended = true;
            }
        }
    }

    pub fn cut_any(&mut self, random: &mut Random) {
        let ids: Vec<_> = self.connections.keys().copied().collect();
        if let Some(id) = random.pick(&ids) {
            self.cut(*id, random);
        }
    }

    /// Flips a bit in transit on some connection.
    pub fn damage_any(&mut self, random: &mut Random) {
        let ids: Vec<_> = self.connections.keys().copied().collect();
        let Some(id) = random.pick(&ids) else { return };
        let place = random.below(2);
        if let Some(connection) = self.connections.get_mut(id) {
            let bytes = &mut connection.pipes[place].bytes;
            if !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
        }
    }

    pub fn part(&mut self, one: usize, other: usize) {
        self.parted.insert(pair(one, other));
    }

    pub fn heal(&mut self) {
        self.parted.clear();
    }

    /// Delivers some bytes, or the end, on some connection.
    pub fn arrival(&mut self, random: &mut Random) -> Option<Delivery> {
        let mut waiting = Vec::new();
        for (id, connection) in &self.connections {
            let [caller, called] = connection.nodes;
            if self.parted.contains(&pair(caller, called)) {
                continue;
            }
            for end in [End::Caller, End::Called] {
                let pipe = &connection.pipes[end.place()];
                if !pipe.deaf && (pipe.ended || !pipe.bytes.is_empty()) {
                    waiting.push((*id, end));
                }
            }
        }
        let (id, end) = *random.pick(&waiting)?;
        let connection = self.connections.get_mut(&id)?;
        let node = connection.nodes[end.place()];
        let pipe = &mut connection.pipes[end.place()];
        if pipe.bytes.is_empty() {
            pipe.deaf = true;
            return Some(Delivery {
                connection: id,
                node,
                end,
                arrival: Arrival::End,
            });
        }
        let all = pipe.bytes.len();
        let count = if random.one_in(3) {
            1 + random.below(all)
        } else {
            all
        };
        let rest = pipe.bytes.split_off(count);
        let bytes = std::mem::replace(&mut pipe.bytes, rest);
        Some(Delivery {
            connection: id,
            node,
            end,
            arrival: Arrival::Bytes(bytes),
        })
    }
}
