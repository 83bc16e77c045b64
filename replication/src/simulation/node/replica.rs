//! A simulated node as a replica.

use std::collections::VecDeque;

use super::{Node, Role};
use crate::follow::{FollowAction, FollowEnd, Follower};
use crate::link::{Incoming, Link};
use crate::message::Message;
use crate::simulation::network::{ConnectionId, End, Network};
use crate::simulation::{note, note_plan, violated};
use crate::sink::{SinkDone, SinkWork};

pub struct Replica {
    pub follow: Follower,
    pub(super) connection: Option<(ConnectionId, Link)>,
    pub(super) work: VecDeque<SinkWork>,
    pub(super) done: VecDeque<SinkDone>,
}

impl Node {
    /// Closes the connection to the primary.
    pub fn leave(&mut self, network: &mut Network) {
        let connection = self
            .replica()
            .and_then(|replica| replica.connection.as_ref());
        if let Some(id) = connection.map(|(id, _)| *id) {
            self.hang_up(id, End::Caller, network);
        }
    }

    /// The node that this one would connect to now.
    pub fn would_call(&mut self) -> Option<usize> {
        let Role::Replica(target) = self.role else {
            return None;
        };
        let replica = self.replica()?;
        let free = replica.connection.is_none() && replica.follow.may_connect();
        free.then_some(target)
    }

    pub fn call(&mut self, now_ms: u64, id: ConnectionId, network: &mut Network) {
        let (nonce, clock) = (self.nonce(), self.clock(now_ms));
        let (link, hello) = Link::call(self.identity.clone(), nonce, clock);
        if let Some(replica) = self.replica() {
            replica.connection = Some((id, link));
            network.send(id, End::Caller, &hello);
        }
    }

    pub(super) fn on_followed(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        one: Incoming,
        network: &mut Network,
    ) {
        let clock = self.clock(now_ms);
        let Some(replica) = self.replica() else {
            return;
        };
        let actions = match one {
            Incoming::Open(_) => {
                note("handshake");
                replica.follow.on_connected(clock)
            }
            Incoming::Message(message) => {
                match &message {
                    Message::Welcome(welcome) => note_plan(&replica.follow, welcome),
                    Message::Changes(_) => note("batch"),
                    _ => {}
                }
                replica.follow.on_message(clock, message)
            }
        };
        self.carry_out_follow(id, actions, network);
    }

    pub(super) fn carry_out_follow(
        &mut self,
        id: ConnectionId,
        actions: Vec<FollowAction>,
        network: &mut Network,
    ) {
        let Some(replica) = self.replica() else {
            return;
        };
        let mut close = None;
        for action in actions {
            match action {
                FollowAction::Send(message) => {
                    if let Some((_, link)) = &mut replica.connection {
                        let mut out = Vec::new();
                        link.send(&message, &mut out).unwrap();
                        network.send(id, End::Caller, &out);
                    }
                }
                FollowAction::Work(work) => replica.work.push_back(work),
                FollowAction::Close(end) => close = Some(end),
            }
        }
        if let Some(end) = close {
            note(match end {
                FollowEnd::Gap { .. } => "gap refused",
                FollowEnd::Refuses(_) => "older primary refused",
                FollowEnd::Silent => "follower fell silent",
                FollowEnd::Protocol(what) => violated(what),
                _ => "follower ended",
            });
            self.hang_up(id, End::Caller, network);
        }
    }
}
