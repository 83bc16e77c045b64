//! The replica's end of a connection.

use std::io;

use talos_model::{Acceptance, Difference};
use tokio::sync::watch;

use super::{Command, Replica, Stage, next_command, next_last_used};
use crate::driver::clock::{now_ms, wall_ms};
use crate::driver::connection::{self, Endpoint};
use crate::driver::randomness;
use crate::driver::transport::Outbox;
use crate::follow::{FollowAction, FollowEnd};
use crate::ids::NodeId;
use crate::link::Link;
use crate::message::{LastUsed, Message};
use crate::session::Side;
use crate::sink::{ChangeSink, SinkDone};

/// Why a replica has no connection any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Follow(FollowEnd),
    #[error("ordered")]
    Command,
}

pub(super) type End = connection::End<Reason>;

/// What a replica waits for besides the connection.
pub(super) enum Event {
    Done(SinkDone),
    Command(Command),
    LastUsed(Vec<LastUsed>),
}

pub(super) struct ReplicaEndpoint<'a, K: ChangeSink + Send + 'static> {
    replica: &'a mut Replica<K>,
    link: Link,
    stage: Stage,
    primary: Option<NodeId>,
    /// Which credentials this node accepts, and the primary, if it has said so.
    acceptance: watch::Receiver<Acceptance>,
    theirs: Option<Acceptance>,
}

impl<'a, K: ChangeSink + Send + 'static> ReplicaEndpoint<'a, K> {
    /// Begins a connection. The second value is the greeting, to be sent first.
    pub(super) fn new(replica: &'a mut Replica<K>, begun_ms: u64) -> io::Result<(Self, Vec<u8>)> {
        let identity = replica.settings.identity.clone();
        let (link, greeting) = Link::call(identity, randomness::nonce()?, begun_ms);
        let endpoint = Self {
            acceptance: replica.settings.acceptance.clone(),
            theirs: None,
            replica,
            link,
            stage: Stage::Disconnected,
            primary: None,
        };
        Ok((endpoint, greeting))
    }

    /// Compares which credentials both nodes accept. The status keeps the differences while there
    /// is no connection: until the primary has said otherwise, it accepts what it did.
    fn compare(&self) {
        let Some(theirs) = &self.theirs else { return };
        let differences = self.acceptance.borrow().differences(theirs);
        for difference in &differences {
            tracing::warn!(primary = ?self.primary, "the primary accepts other credentials: {difference}");
        }
        self.replica
            .status
            .send_if_modified(|status| replace(&mut status.differences, differences));
    }

    fn carry_out(&mut self, actions: Vec<FollowAction>, outbox: &mut Outbox) -> Result<(), End> {
        // Before anything else: the work that follows may end what the status says of freshness.
        self.replica.publish(self.stage, self.primary);
        let mut close = None;
        for action in actions {
            match action {
                FollowAction::Send(message) => self.link.send(&message, outbox.buffer())?,
                FollowAction::Work(work) => self.replica.worker.push(work),
                FollowAction::Close(end) => close = Some(end),
            }
        }
        close.map_or(Ok(()), |end| Err(End::Endpoint(Reason::Follow(end))))
    }
}

impl<K: ChangeSink + Send + 'static> Endpoint for ReplicaEndpoint<'_, K> {
    const PEER: Side = Side::Primary;
    type Event = Event;
    type Reason = Reason;

    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    fn wants_input(&self) -> bool {
        self.replica.follower.wants_input()
    }

    async fn next_event(&mut self, has_room: bool) -> Event {
        let Replica {
            worker,
            commands,
            last_used,
            ..
        } = &mut *self.replica;
        tokio::select! {
            done = worker.next_done() => Event::Done(done),
            command = next_command(commands) => Event::Command(command),
            last_used = next_last_used(last_used), if has_room => Event::LastUsed(last_used),
        }
    }

    fn on_event(&mut self, event: Event, outbox: &mut Outbox) -> Result<(), End> {
        match event {
            Event::Done(done) => {
                let actions = self.replica.on_done(done);
                self.carry_out(actions, outbox)
            }
            Event::Command(command) => {
                self.replica.on_command(command);
                Err(End::Endpoint(Reason::Command))
            }
            Event::LastUsed(last_used) => {
                let action = self.replica.follower.on_last_used(last_used);
                self.carry_out(action.into_iter().collect(), outbox)
            }
        }
    }

    fn on_open(&mut self, peer: NodeId, outbox: &mut Outbox) -> Result<(), End> {
        self.primary = Some(peer);
        self.stage = Stage::Asking;
        let actions = self.replica.follower.on_connected(now_ms());
        self.carry_out(actions, outbox)
    }

    fn acceptance(&mut self) -> Acceptance {
        self.acceptance.borrow_and_update().clone()
    }

    fn changed_acceptance(&mut self) -> Option<Acceptance> {
        if !self.acceptance.has_changed().unwrap_or(false) {
            return None;
        }
        let acceptance = self.acceptance();
        self.compare();
        Some(acceptance)
    }

    fn on_acceptance(&mut self, acceptance: Option<Acceptance>) {
        self.theirs = Some(acceptance.unwrap_or_default());
        self.compare();
    }

    fn on_message(&mut self, message: Message, outbox: &mut Outbox) -> Result<(), End> {
        let is_welcome = matches!(message, Message::Welcome(_));
        let is_heartbeat = matches!(message, Message::Heartbeat(_));
        if let Message::Heartbeat(heartbeat) = &message {
            let offset_ms = heartbeat.time_ms.saturating_sub(wall_ms());
            self.replica.clock_offset_ms = Some(offset_ms);
        }
        let actions = self.replica.follower.on_message(now_ms(), message);
        let goes_on = !actions
            .iter()
            .any(|action| matches!(action, FollowAction::Close(_)));
        if is_welcome && goes_on {
            self.stage = Stage::Following;
            tracing::info!(primary = ?self.primary, "the replica follows");
            self.replica
                .status
                .send_modify(|status| status.connections += 1);
        }
        if is_heartbeat && goes_on {
            // Not after the welcome: a primary that closes right after it must not be called again
            // as fast as one that stays.
            self.replica.backoff.reset();
        }
        self.carry_out(actions, outbox)
    }

    fn on_tick(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        let actions = self.replica.follower.on_tick(now_ms());
        self.carry_out(actions, outbox)
    }
}

/// Whether the differences have changed.
fn replace(known: &mut Vec<Difference>, found: Vec<Difference>) -> bool {
    let has_changed = *known != found;
    *known = found;
    has_changed
}
