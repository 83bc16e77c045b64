//! A simulated node as a primary.

use std::collections::{BTreeMap, VecDeque};

use talos_model::Position;

use super::Node;
use crate::acks::{Acks, Released, ReplicaConnection, Ticket, Wait};
use crate::feed::{Feed, FeedAction, FeedEnd};
use crate::ids::NodeId;
use crate::link::{Incoming, Link};
use crate::message::Message;
use crate::refusal::Refusal;
use crate::simulation::network::{ConnectionId, End, Network};
use crate::simulation::store::Op;
use crate::simulation::{KeyName, note, violated};
use crate::source::{SourceDone, SourceWork};
use crate::throttle::Throttle;

/// The primary's end of a connection.
pub struct Fed {
    pub(super) link: Link,
    pub(super) peer: Option<NodeId>,
    pub(super) feed: Option<Feed>,
    pub(super) work: VecDeque<SourceWork>,
    pub(super) done: VecDeque<SourceDone>,
}

pub struct Primary {
    pub(super) fed: BTreeMap<ConnectionId, Fed>,
    pub(super) acks: Acks,
    pub released: Vec<Released>,
    /// The node has learned of a later epoch.
    pub replaced: bool,
}

impl Node {
    /// Commits a write and lets it wait for replicas.
    pub fn write(
        &mut self,
        now_ms: u64,
        op: Op,
        key: KeyName,
        ticket: Ticket,
        wait: Wait,
    ) -> Option<Position> {
        let now_ms = self.clock(now_ms);
        if self.primary().is_none_or(|primary| primary.replaced) {
            return None;
        }
        let position = self.store.commit(op, key);
        let primary = self.primary()?;
        let released = primary
            .acks
            .wait(now_ms, ticket, position, wait, now_ms + 5000);
        primary.released.extend(released.unwrap());
        Some(position)
    }

    /// Announces the last change to the feeds.
    pub fn announce(&mut self, now_ms: u64, network: &mut Network) {
        let Some(committed) = self.store.committed() else {
            return;
        };
        let clock = self.clock(now_ms);
        for id in self.connections() {
            let actions = self
                .feed(id)
                .map(|feed| feed.on_committed(clock, committed));
            self.carry_out_feed(now_ms, id, actions.unwrap_or_default(), network);
        }
    }

    pub(super) fn connections(&mut self) -> Vec<ConnectionId> {
        self.primary()
            .map(|primary| primary.fed.keys().copied().collect())
            .unwrap_or_default()
    }

    pub(super) fn feed(&mut self, id: ConnectionId) -> Option<&mut Feed> {
        self.primary()?.fed.get_mut(&id)?.feed.as_mut()
    }

    /// Accepts a connection. A node that is not a primary closes it.
    pub fn on_called(&mut self, now_ms: u64, id: ConnectionId, network: &mut Network) {
        let (nonce, clock) = (self.nonce(), self.clock(now_ms));
        let identity = self.identity.clone();
        let Some(primary) = self.primary() else {
            return network.close(id, End::Called);
        };
        let fed = Fed {
            link: Link::answer(identity, nonce, clock),
            peer: None,
            feed: None,
            work: VecDeque::new(),
            done: VecDeque::new(),
        };
        primary.fed.insert(id, fed);
    }

    pub(super) fn on_fed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        one: Incoming,
        network: &mut Network,
    ) {
        let moment = self.moment(now_ms);
        let history = self.store.history().clone();
        let Some(fed) = self.primary().and_then(|primary| primary.fed.get_mut(&id)) else {
            return;
        };
        let actions = match (one, &mut fed.feed) {
            (Incoming::Open(peer), _) => {
                fed.peer = Some(peer);
                fed.feed = Some(Feed::new(
                    history,
                    moment.committed,
                    Throttle::new(200),
                    moment.now_ms,
                ));
                vec![]
            }
            (Incoming::Message(message), Some(feed)) => feed.on_message(moment, message),
            (Incoming::Message(_), None) => vec![],
        };
        self.carry_out_feed(now_ms, id, actions, network);
    }

    pub(super) fn carry_out_feed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        actions: Vec<FeedAction>,
        network: &mut Network,
    ) {
        let clock = self.clock(now_ms);
        let loses = self.loses_changes > 0 && self.random.one_in(self.loses_changes);
        let Some(primary) = self.primary() else {
            return;
        };
        let mut close = None;
        for action in actions {
            let Some(fed) = primary.fed.get_mut(&id) else {
                return;
            };
            match action {
                FeedAction::Send(mut message) => {
                    if let (true, Message::Changes(batch)) = (loses, &mut message) {
                        note("change lost by a faulty primary");
                        batch.changes.remove(0);
                        batch.first.sequence = batch.first.sequence.next();
                        if batch.changes.is_empty() {
                            continue;
                        }
                    }
                    let mut out = Vec::new();
                    fed.link.send(&message, &mut out).unwrap();
                    network.send(id, End::Called, &out);
                }
                FeedAction::Work(work) => fed.work.push_back(work),
                FeedAction::Joined {
                    durable,
                    max_staleness_ms,
                } => {
                    let connection = ReplicaConnection {
                        node: fed.peer.unwrap(),
                        number: id,
                    };
                    let released =
                        primary
                            .acks
                            .on_joined(clock, connection, durable, max_staleness_ms);
                    primary.released.extend(released);
                }
                FeedAction::Acknowledged(durable) => {
                    let connection = ReplicaConnection {
                        node: fed.peer.unwrap(),
                        number: id,
                    };
                    let released = primary.acks.on_acknowledged(clock, connection, durable);
                    primary.released.extend(released);
                }
                FeedAction::LastUsed(_) => {}
                FeedAction::Replaced(_) => {
                    note("primary replaced");
                    primary.replaced = true;
                }
                FeedAction::Close(end) => close = Some(end),
            }
        }
        if let Some(end) = close {
            note(match end {
                FeedEnd::Refused(Refusal::Diverged { .. }) => "diverged replica refused",
                FeedEnd::Gone => "feed fell behind",
                FeedEnd::Silent => "feed fell silent",
                FeedEnd::Broken(what) | FeedEnd::Protocol(what) => violated(what),
                _ => "feed ended",
            });
            self.hang_up(id, End::Called, network);
        }
    }
}
