//! A simulated node: its storage, its settings, and its process while it is up.
//!
//! It drives the state machines like a real driver, and carries out their actions in order.

mod primary;
mod replica;

use std::collections::{BTreeMap, VecDeque};

pub use primary::Primary;
pub use replica::Replica;
use talos_model::Position;

use super::network::{ConnectionId, End, Network};
use super::store::Store;
use super::{MAX_STALENESS_MS, Seen};
use crate::acks::{Acks, ReplicaConnection};
use crate::feed::Moment;
use crate::follow::Follower;
use crate::handshake::{Identity, Nonce};
use crate::ids::{ClusterId, NodeId};
use crate::link::Link;
use crate::random::Random;
use crate::secret::{Secrets, SharedSecret};

/// The configured role. Survives crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Primary,
    Replica(usize),
    Idle,
}

pub enum Process {
    Primary(Box<Primary>),
    Replica(Box<Replica>),
    Idle,
}

pub struct Node {
    pub number: usize,
    pub store: Store,
    pub role: Role,
    /// `None` while the node is down.
    pub process: Option<Process>,
    /// The offset of its clock from the simulated time.
    clock_ms: u64,
    identity: Identity,
    random: Random,
    /// One in this many batches loses a change before it is sent; 0 means none.
    pub loses_changes: usize,
    pub seen: Seen,
}

impl Node {
    pub fn new(number: usize, store: Store, mut random: Random) -> Self {
        let secret = SharedSecret::new(&[7; 32]).unwrap();
        Self {
            number,
            store,
            role: Role::Idle,
            process: None,
            clock_ms: random.draw() % 1_000_000,
            identity: Identity {
                cluster: ClusterId([1; 16]),
                node: node_id(number),
                secrets: Secrets {
                    current: secret,
                    retired: vec![],
                },
            },
            random,
            loses_changes: 0,
            seen: Seen::default(),
        }
    }

    /// The time on the node's clock.
    pub fn clock(&self, now_ms: u64) -> u64 {
        now_ms + self.clock_ms
    }

    fn nonce(&mut self) -> Nonce {
        Nonce(self.random.array())
    }

    /// Starts the process of the configured role.
    pub fn start(&mut self, now_ms: u64) {
        let now_ms = self.clock(now_ms);
        self.process = Some(match self.role {
            Role::Primary => Process::Primary(Box::new(Primary {
                fed: BTreeMap::new(),
                acks: Acks::new(now_ms, MAX_STALENESS_MS),
                released: Vec::new(),
                replaced: false,
            })),
            Role::Replica(_) => Process::Replica(Box::new(Replica {
                follow: Follower::new(self.store.state.durable.clone(), MAX_STALENESS_MS),
                connection: None,
                work: VecDeque::new(),
                done: VecDeque::new(),
            })),
            Role::Idle => Process::Idle,
        });
    }

    pub fn primary(&mut self) -> Option<&mut Primary> {
        match &mut self.process {
            Some(Process::Primary(primary)) => Some(primary),
            _ => None,
        }
    }

    pub fn replica(&mut self) -> Option<&mut Replica> {
        match &mut self.process {
            Some(Process::Replica(replica)) => Some(replica),
            _ => None,
        }
    }

    pub fn on_bytes(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        end: End,
        bytes: &[u8],
        network: &mut Network,
    ) {
        let link = match (&mut self.process, end) {
            (Some(Process::Primary(primary)), End::Called) => {
                primary.fed.get_mut(&id).map(|fed| &mut fed.link)
            }
            (Some(Process::Replica(replica)), End::Caller) => match &mut replica.connection {
                Some((connected, link)) if *connected == id => Some(link),
                _ => None,
            },
            _ => None,
        };
        let Some(link) = link else { return };
        let mut out = Vec::new();
        let incoming = link.on_bytes(bytes, &mut out);
        network.send(id, end, &out);
        match incoming {
            Ok(incoming) => {
                for one in incoming {
                    match end {
                        End::Called => self.on_fed(now_ms, id, one, network),
                        End::Caller => self.on_followed(now_ms, id, one, network),
                    }
                }
            }
            Err(_) => self.hang_up(id, end, network),
        }
    }

    fn moment(&self, now_ms: u64) -> Moment {
        Moment {
            now_ms: self.clock(now_ms),
            wall_ms: 0,
            committed: self.store.committed().unwrap_or(Position::START),
        }
    }

    /// Closes this node's end of a connection.
    pub fn hang_up(&mut self, id: ConnectionId, end: End, network: &mut Network) {
        network.close(id, end);
        match (&mut self.process, end) {
            (Some(Process::Primary(primary)), End::Called) => {
                let fed = primary.fed.remove(&id);
                if let Some(peer) = fed.and_then(|fed| fed.peer) {
                    primary.acks.on_left(ReplicaConnection {
                        node: peer,
                        number: id,
                    });
                }
            }
            (Some(Process::Replica(replica)), End::Caller) => {
                let ours = |(connected, _): &(ConnectionId, Link)| *connected == id;
                if replica.connection.as_ref().is_some_and(ours) {
                    replica.connection = None;
                    replica.follow.on_disconnected();
                }
            }
            _ => {}
        }
    }

    /// Runs one waiting storage job, or reports the result of one. These are two steps, so that a
    /// crash can come between them.
    pub fn work(&mut self, now_ms: u64, network: &mut Network) -> bool {
        let clock = self.clock(now_ms);
        let store = &mut self.store;
        match &mut self.process {
            Some(Process::Replica(replica)) => {
                if let Some(done) = replica.done.pop_front() {
                    let id = replica.connection.as_ref().map(|(id, _)| *id);
                    let actions = replica.follow.on_done(clock, done);
                    self.carry_out_follow(id.unwrap_or(ConnectionId::MAX), actions, network);
                } else if let Some(work) = replica.work.pop_front() {
                    replica.done.push_back(work.perform(store));
                } else {
                    return false;
                }
                true
            }
            Some(Process::Primary(primary)) => {
                let mut waiting = primary.fed.iter_mut();
                let Some((&id, fed)) =
                    waiting.find(|(_, fed)| !fed.work.is_empty() || !fed.done.is_empty())
                else {
                    return false;
                };
                if let Some(done) = fed.done.pop_front() {
                    let mut actions = vec![];
                    if let Some(feed) = &mut fed.feed {
                        actions.extend(feed.on_done(clock, done));
                        if self.random.one_in(2) {
                            actions.extend(feed.on_room(clock));
                        }
                    }
                    self.carry_out_feed(now_ms, id, actions, network);
                } else if let Some(work) = fed.work.pop_front() {
                    fed.done.extend(work.perform(store));
                }
                true
            }
            Some(Process::Idle) | None => false,
        }
    }

    pub fn on_tick(&mut self, now_ms: u64, network: &mut Network) {
        let moment = self.moment(now_ms);
        self.announce(now_ms, network);
        for id in self.connections() {
            let Some(fed) = self.primary().and_then(|primary| primary.fed.get_mut(&id)) else {
                continue;
            };
            if fed.link.on_tick(moment.now_ms).is_err() {
                self.hang_up(id, End::Called, network);
            } else if let Some(feed) = &mut fed.feed {
                let mut actions = feed.on_room(moment.now_ms);
                actions.extend(feed.on_tick(moment));
                self.carry_out_feed(now_ms, id, actions, network);
            }
        }
        match &mut self.process {
            Some(Process::Primary(primary)) => {
                let released = primary.acks.on_tick(moment.now_ms);
                primary.released.extend(released);
            }
            Some(Process::Replica(replica)) => {
                let Some((id, link)) = &mut replica.connection else {
                    return;
                };
                let id = *id;
                if link.on_tick(moment.now_ms).is_err() {
                    return self.hang_up(id, End::Caller, network);
                }
                let actions = replica.follow.on_tick(moment.now_ms);
                self.carry_out_follow(id, actions, network);
            }
            Some(Process::Idle) | None => {}
        }
    }

    /// Whether the node considers itself up to date.
    pub fn is_fresh(&mut self, now_ms: u64) -> bool {
        let clock = self.clock(now_ms);
        self.replica()
            .is_some_and(|replica| replica.follow.is_fresh(clock))
    }
}

pub fn node_id(number: usize) -> NodeId {
    NodeId([u8::try_from(number).unwrap() + 1; 16])
}
