//! One connection of a replica, from the first byte to the last.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::{MissedTickBehavior, interval};

use super::{Command, Replica, Stage, next_command, next_last_used};
use crate::driver::clock::now_ms;
use crate::driver::transport::{Outbox, Transport};
use crate::driver::{TICK, randomness};
use crate::follow::{FollowAction, FollowEnd};
use crate::limits::SILENCE_MS;
use crate::link::{Incoming, Link, LinkError};
use crate::message::{LastUsed, Message};
use crate::position::NodeId;
use crate::sink::{ChangeSink, SinkDone};

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Follow(#[from] FollowEnd),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the primary has closed the connection")]
    Closed,
    #[error("the primary has taken nothing for {SILENCE_MS} ms")]
    Stuck,
    #[error("ordered")]
    Commanded,
}

/// What a connection waits for.
enum Event {
    Read(io::Result<usize>),
    Sent(io::Result<()>),
    Done(SinkDone),
    Command(Command),
    LastUsed(Vec<LastUsed>),
    Tick,
}

pub(super) struct Session<'a, K: ChangeSink + Send + 'static> {
    replica: &'a mut Replica<K>,
    link: Link,
    hello: Vec<u8>,
    stage: Stage,
    primary: Option<NodeId>,
}

impl<'a, K: ChangeSink + Send + 'static> Session<'a, K> {
    pub(super) fn new(replica: &'a mut Replica<K>, begun_ms: u64) -> io::Result<Self> {
        let identity = replica.settings.identity.clone();
        let (link, hello) = Link::call(identity, randomness::nonce()?, begun_ms);
        Ok(Self {
            replica,
            link,
            hello,
            stage: Stage::Disconnected,
            primary: None,
        })
    }

    /// Follows, and says why that has ended.
    pub(super) async fn hold<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> End {
        let mut transport = Transport::new(stream);
        transport.outbox.end().append(&mut self.hello);
        let end = self.talk(&mut transport).await;
        if !matches!(end, End::Stuck | End::Io(_)) {
            transport.close().await;
        }
        end
    }

    async fn talk<S: AsyncRead + AsyncWrite>(&mut self, transport: &mut Transport<S>) -> End {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Transport {
                reader,
                writer,
                input,
                outbox,
            } = transport;
            let Replica {
                storage_worker,
                commands,
                used,
                follow,
                ..
            } = &mut *self.replica;
            let reads = follow.wants_input();
            let event = tokio::select! {
                read = reader.read(input), if reads => Event::Read(read),
                sent = outbox.send(writer), if outbox.is_waiting() => Event::Sent(sent),
                done = storage_worker.done() => Event::Done(done),
                command = next_command(commands) => Event::Command(command),
                last_used = next_last_used(used), if outbox.has_room() => Event::LastUsed(last_used),
                _ = tick.tick() => Event::Tick,
            };
            if let Err(end) = self.take(event, input, outbox) {
                return end;
            }
        }
    }

    fn take(&mut self, event: Event, input: &[u8], outbox: &mut Outbox) -> Result<(), End> {
        match event {
            Event::Read(read) => match read? {
                0 => Err(End::Closed),
                count => self.on_bytes(input.get(..count).unwrap_or_default(), outbox),
            },
            Event::Sent(sent) => Ok(sent?),
            Event::Done(done) => {
                let actions = self.replica.on_done(done);
                self.carry_out(actions, outbox)
            }
            Event::Command(command) => {
                self.replica.on_command(command);
                Err(End::Commanded)
            }
            Event::LastUsed(last_used) => {
                let action = self.replica.follow.on_last_used(last_used);
                self.carry_out(action.into_iter().collect(), outbox)
            }
            Event::Tick => {
                let now_ms = now_ms();
                self.link.on_tick(now_ms)?;
                if outbox.is_stuck(now_ms) {
                    return Err(End::Stuck);
                }
                let actions = self.replica.follow.on_tick(now_ms);
                self.carry_out(actions, outbox)
            }
        }
    }

    fn on_bytes(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), End> {
        for one in self.link.on_bytes(bytes, outbox.end())? {
            let actions = match one {
                Incoming::Open(peer) => {
                    self.primary = Some(peer);
                    self.stage = Stage::Asking;
                    self.replica.follow.on_connected(now_ms())
                }
                Incoming::Message(message) => self.on_message(message),
            };
            self.carry_out(actions, outbox)?;
        }
        Ok(())
    }

    fn on_message(&mut self, message: Message) -> Vec<FollowAction> {
        let welcome = matches!(message, Message::Welcome(_));
        let heartbeat = matches!(message, Message::Heartbeat(_));
        let actions = self.replica.follow.on_message(now_ms(), message);
        let goes_on = !actions
            .iter()
            .any(|action| matches!(action, FollowAction::Close(_)));
        if welcome && goes_on {
            self.stage = Stage::Following;
            tracing::info!(primary = ?self.primary, "the replica follows");
            self.replica
                .status
                .send_modify(|status| status.connections += 1);
        }
        if heartbeat && goes_on {
            // A primary that breaks off as soon as it has welcomed a replica is not called as fast as one that stays.
            self.replica.backoff.reset();
        }
        actions
    }

    fn carry_out(&mut self, actions: Vec<FollowAction>, outbox: &mut Outbox) -> Result<(), End> {
        // First of all: what was promised of freshness may be over with the work that follows.
        self.replica.show(self.stage, self.primary);
        let mut close = None;
        for action in actions {
            match action {
                FollowAction::Send(message) => self.link.send(&message, outbox.end())?,
                FollowAction::Work(work) => self.replica.storage_worker.push(work),
                FollowAction::Close(end) => close = Some(end),
            }
        }
        close.map_or(Ok(()), |end| Err(end.into()))
    }
}
