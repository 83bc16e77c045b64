//! The replica's side of replication. One follower lives across all connections.
//!
//! Guarantees:
//! - A change is accepted only if it is the next one and has the epoch that its sequence belongs
//!   to. After a gap nothing is accepted: the connection ends, and the replica asks again from its
//!   last change. After several gaps at the same place it asks for a full copy.
//! - A new epoch is durable before its first change: storage works in order, and gets the epoch
//!   first.
//! - The replica refuses a primary whose epoch is older than one that it knows, and tells it so.
//! - Nothing is acknowledged before it is durable and visible.
//! - A replica that holds changes which the primary does not have stops, and reports them, until an
//!   operator decides to drop them. If the primary no longer keeps a copy that was begun, the copy
//!   starts over. Until a copy is complete the replica shows nothing.

mod negotiation;
mod receive;

use talos_model::{CopyEnd, CopyPlace, EpochHistory, Position, Sequence};

use crate::lag::Lag;
use crate::limits::{
    HEARTBEAT_MS, LAST_USED_ENTRIES, LAST_USED_KEY_BYTES, REPLICA_WORK, SILENCE_MS,
};
use crate::message::{Digest, LastUsed, Message, StartFrom, StatusUpdate};
use crate::refusal::Refusal;
use crate::sink::{DurableState, Progress, SinkDone, SinkError, SinkWork};

/// An action for the driver. Actions are carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FollowAction {
    /// Send this message.
    Send(Message),
    /// Do this in storage after all earlier work, and report the result to [`Follower::on_done`].
    Work(SinkWork),
    /// Close the connection after everything is sent.
    Close(FollowEnd),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowEnd {
    /// The primary refuses. The replica tries again later, unless [`Follower::stop`] is set.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The other node is the primary of an older epoch; another node may be the right one.
    #[error("refuses to follow: {0}")]
    Refuses(Refusal),
    /// The primary has sent nothing for too long. The replica tries again.
    #[error("nothing was heard of the primary for {SILENCE_MS} ms")]
    Silent,
    /// Changes or rows do not follow the last ones. The replica asks again from what it has.
    #[error("what came does not follow change {}", expected.0)]
    Gap {
        /// The last sequence that the replica has.
        expected: Sequence,
    },
    /// The primary has sent a message that is not allowed at this point. The replica tries again.
    #[error("the primary breaks the protocol: {0}")]
    Protocol(&'static str),
    /// Storage failed; see [`Follower::stop`].
    #[error("storage failed")]
    Storage,
}

/// Why a replica has stopped following.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It holds changes that the primary does not have; for the operator.
    #[error("the changes from {} to {} are not in the primary's history", fork.next().0, held.0)]
    Diverged {
        /// The last sequence that both nodes have.
        fork: Sequence,
        /// The last sequence that the replica has.
        held: Sequence,
    },
    /// Storage failed; for the operator.
    #[error(transparent)]
    Storage(#[from] SinkError),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not connected.
    Apart,
    /// The request is sent; waiting for the answer.
    Asking(StartFrom),
    /// Receiving changes. Storage has those up to this one, or they are queued.
    Following(Position),
    /// Receiving a copy. Storage has the rows up to this place, or they are queued.
    Copying(CopyPlace),
    /// The connection is about to close.
    Ending,
}

/// The state of a replica.
#[derive(Debug)]
pub struct Follower {
    max_staleness_ms: u64,
    durable_state: DurableState,
    state: State,
    stop: Option<Stop>,
    /// Storage jobs that are not done yet.
    working: usize,
    /// The epoch history of the primary, while connected.
    history: EpochHistory,
    lag: Lag,
    gaps_at: Sequence,
    gaps: u32,
    /// Whether to ask for a full copy even if the replica holds changes.
    fresh: bool,
    heard_ms: u64,
    update_sent_ms: u64,
}

impl Follower {
    /// Creates the follower of a replica with this durable state. The replica considers itself up
    /// to date for `max_staleness_ms` after a heartbeat.
    #[must_use]
    pub fn new(durable_state: DurableState, max_staleness_ms: u64) -> Self {
        let applied = match &durable_state.progress {
            Progress::At(position) => position.sequence,
            Progress::Copying(_) => Sequence(0),
        };
        Self {
            max_staleness_ms,
            history: durable_state.history.clone(),
            durable_state,
            state: State::Apart,
            stop: None,
            working: 0,
            lag: Lag::new(applied),
            gaps_at: Sequence(0),
            gaps: 0,
            fresh: false,
            heard_ms: 0,
            update_sent_ms: 0,
        }
    }

    /// What is durable at this replica.
    #[must_use]
    pub fn durable_state(&self) -> &DurableState {
        &self.durable_state
    }

    /// How far the replica is behind.
    #[must_use]
    pub fn lag(&self) -> &Lag {
        &self.lag
    }

    /// Whether the replica may answer as up to date with the primary that it follows, or followed
    /// last.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        matches!(self.durable_state.progress, Progress::At(_))
            && self.durable_state.history.newest_id() == self.history.newest_id()
            && self
                .lag
                .staleness_ms(now_ms)
                .is_some_and(|staleness| staleness <= self.max_staleness_ms)
    }

    /// Why the replica has stopped following, if it has.
    #[must_use]
    pub fn stop(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Whether to connect: there is no connection, and storage has done all its work.
    #[must_use]
    pub fn may_connect(&self) -> bool {
        self.state == State::Apart && self.stop.is_none() && self.working == 0
    }

    /// Whether more may be read from the connection.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.working < REPLICA_WORK
    }

    /// An operator has decided that this replica may drop what it holds and be copied again.
    pub fn resync(&mut self) {
        if matches!(self.stop, Some(Stop::Diverged { .. })) {
            self.stop = None;
        }
        self.fresh = true;
    }

    /// The connection is closed, no matter by which side.
    pub fn on_disconnected(&mut self) {
        self.state = State::Apart;
    }

    /// Handles a message of the primary.
    pub fn on_message(&mut self, now_ms: u64, message: Message) -> Vec<FollowAction> {
        if matches!(self.state, State::Apart | State::Ending) {
            return vec![];
        }
        self.heard_ms = now_ms;
        match (self.state.clone(), message) {
            (State::Asking(start), Message::Welcome(welcome)) => {
                self.on_welcome(now_ms, &start, welcome)
            }
            (State::Asking(start), Message::Refused(refusal)) => self.on_refused(&start, refusal),
            (State::Following(last), Message::Changes(batch)) => self.on_changes(last, batch),
            (State::Copying(place), Message::Chunk(chunk)) => self.on_chunk(place, chunk),
            (State::Following(_), Message::Heartbeat(heartbeat)) => {
                self.lag.on_heartbeat(&heartbeat);
                vec![]
            }
            // Positions mean nothing before the copy is complete.
            (State::Copying(_), Message::Heartbeat(_)) => vec![],
            _ => vec![self.end(FollowEnd::Protocol("a message out of turn"))],
        }
    }

    /// Handles the result of the oldest unfinished storage work.
    pub fn on_done(&mut self, now_ms: u64, done: SinkDone) -> Vec<FollowAction> {
        self.working = self.working.saturating_sub(1);
        let visible = match done {
            SinkDone::Adopted(history) => {
                self.durable_state.history = history;
                return vec![];
            }
            SinkDone::CopyBegun(history, place) => {
                self.fresh = false;
                let progress = Progress::Copying(place);
                self.durable_state = DurableState {
                    history,
                    progress,
                    last: None,
                };
                return vec![];
            }
            SinkDone::Installed(cursor, end) => {
                let Progress::Copying(place) = &mut self.durable_state.progress else {
                    return vec![];
                };
                place.cursor = cursor;
                if end == CopyEnd::More {
                    return vec![];
                }
                self.durable_state.last = place.digest.map(Digest);
                place.position
            }
            SinkDone::Applied(point) => {
                self.durable_state.last = point.digest;
                point.position
            }
            SinkDone::Failed(error) => {
                self.stop = Some(Stop::Storage(error));
                return vec![self.end(FollowEnd::Storage)];
            }
        };
        self.durable_state.progress = Progress::At(visible);
        self.lag.on_applied(visible.sequence);
        match self.state {
            State::Following(_) => vec![self.status_update(now_ms, Some(visible))],
            _ => vec![],
        }
    }

    /// Keeps time. Call it a few times per `HEARTBEAT_MS`.
    pub fn on_tick(&mut self, now_ms: u64) -> Vec<FollowAction> {
        if matches!(self.state, State::Apart | State::Ending) {
            return vec![];
        }
        if now_ms.saturating_sub(self.heard_ms) > SILENCE_MS {
            return vec![self.end(FollowEnd::Silent)];
        }
        let due = now_ms.saturating_sub(self.update_sent_ms) >= HEARTBEAT_MS;
        if !due || matches!(self.state, State::Asking(_)) {
            return vec![];
        }
        let durable = match &self.durable_state.progress {
            Progress::At(position) => Some(*position),
            Progress::Copying(_) => None,
        };
        vec![self.status_update(now_ms, durable)]
    }

    /// Reports to the primary when keys were last used. `None` without a primary. Entries beyond
    /// the limits are dropped.
    #[must_use]
    pub fn on_last_used(&self, mut last_used: Vec<LastUsed>) -> Option<FollowAction> {
        last_used.retain(|entry| entry.key.len() <= LAST_USED_KEY_BYTES);
        last_used.truncate(LAST_USED_ENTRIES);
        let connected = matches!(self.state, State::Following(_) | State::Copying(_));
        connected.then_some(FollowAction::Send(Message::LastUsed(last_used)))
    }

    fn status_update(&mut self, now_ms: u64, durable: Option<Position>) -> FollowAction {
        self.update_sent_ms = now_ms;
        FollowAction::Send(Message::StatusUpdate(StatusUpdate {
            durable,
            sent_ms: now_ms,
        }))
    }

    fn work(&mut self, work: SinkWork) -> FollowAction {
        self.working += 1;
        FollowAction::Work(work)
    }

    fn end(&mut self, end: FollowEnd) -> FollowAction {
        self.state = State::Ending;
        FollowAction::Close(end)
    }
}

#[cfg(test)]
mod tests;
