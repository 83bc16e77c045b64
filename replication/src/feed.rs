//! The primary's side of one replica, after the handshake.
//!
//! Guarantees:
//! - A replica receives only what follows its own changes. A replica is refused, and told where the
//!   histories fork, if it holds changes that are not in the primary's history, or if its last
//!   change differs from the primary's. A replica that knows a later epoch is refused, and the
//!   primary learns that it has been replaced.
//! - Only changes that are durable at the primary are sent, in order, without a gap. If storage
//!   returns anything else, the feed ends.
//! - At most one read of storage and one batch or chunk are in flight for a replica, however slow
//!   it is. The log does not wait for a replica: if the changes that it needs are gone, the feed
//!   ends, and the replica gets a full copy.
//! - A replica gets no promise of freshness (`lag.rs`) before writes can wait for it (`acks.rs`),
//!   and none with a committed position older than the writes acknowledged by then.

mod changes;
mod copy;
mod replica;

use talos_model::{CopyPlace, Epoch, EpochHistory, Position};

use crate::limits::{CHUNK_BYTES, HEARTBEAT_MS, SILENCE_MS};
use crate::message::{Digest, Heartbeat, LastUsed, LogPoint, Message};
use crate::refusal::Refusal;
use crate::source::{CopyReading, SourceDone, SourceError, SourceWork};
use crate::throttle::Throttle;

/// An action for the driver. Actions are carried out in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedAction {
    /// Send this message.
    Send(Message),
    /// Do this in storage, and report the result to [`Feed::on_done`].
    Work(SourceWork),
    /// Writes can wait for the replica from now on.
    Joined {
        /// The last change that is durable at the replica.
        durable: Position,
        /// The replica considers itself up to date for this many milliseconds after a heartbeat.
        max_staleness_ms: u64,
    },
    /// The replica holds the changes up to this one.
    Acknowledged(Position),
    /// When keys were last used at the replica.
    LastUsed(Vec<LastUsed>),
    /// Another primary has this later epoch. Accept no more writes.
    Replaced(Epoch),
    /// Close the connection after everything is sent.
    Close(FeedEnd),
}

/// Why a feed ends. The replica tries again, unless the refusal tells it not to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedEnd {
    /// The replica was refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The replica has sent nothing for too long.
    #[error("nothing was heard of the replica for {SILENCE_MS} ms")]
    Silent,
    /// The replica has sent a message that is not allowed at this point.
    #[error("the replica breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The changes or the copy that the replica needs are no longer kept.
    #[error("what the replica needs next is kept no longer")]
    Gone,
    /// Storage failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Storage returned changes or rows that do not follow; for the operator.
    #[error("the primary's storage gave what does not follow: {0}")]
    Broken(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for the replica's request.
    Asked,
    /// Storage checks whether the log reaches back to the replica's last change.
    Looking(LogPoint),
    /// Storage opens a copy: this one if it is still kept, otherwise a new one.
    Opening(Option<CopyPlace>),
    /// Sending a copy. The rows before this place are sent.
    Copying(CopyPlace),
    /// Sending changes. Those up to this one are sent.
    Streaming(Position),
    Over,
}

/// The feed of one replica.
#[derive(Debug)]
pub struct Feed {
    history: EpochHistory,
    committed: Position,
    state: State,
    /// The copy that was sent and is not yet confirmed by the replica.
    unconfirmed: Option<CopyPlace>,
    max_staleness_ms: u64,
    /// Whether writes can wait for the replica.
    joined: bool,
    /// The replica's clock, from its newest status update.
    echo_ms: Option<u64>,
    heard_ms: u64,
    heartbeat_ms: Option<u64>,
    /// Whether a read of storage is in flight.
    reading: bool,
    /// Whether the last batch or chunk has left, so that more may be read.
    room: bool,
    throttle: Throttle,
}

/// The clocks and the committed position at the time of a call. Read it anew for every call, after
/// the actions of the previous call are done: a heartbeat states that nothing beyond `committed`
/// was acknowledged before this moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The monotonic clock, in milliseconds.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// The last change that is durable at the primary.
    pub committed: Position,
}

impl Feed {
    /// Creates the feed of a replica that has just completed the handshake. `committed` is the
    /// primary's last durable change; `throttle` limits full copies.
    #[must_use]
    pub fn new(
        history: EpochHistory,
        committed: Position,
        throttle: Throttle,
        now_ms: u64,
    ) -> Self {
        Self {
            history,
            committed,
            state: State::Asked,
            unconfirmed: None,
            max_staleness_ms: 0,
            joined: false,
            echo_ms: None,
            heard_ms: now_ms,
            heartbeat_ms: None,
            reading: false,
            room: true,
            throttle,
        }
    }

    /// Handles a message of the replica.
    pub fn on_message(&mut self, moment: Moment, message: Message) -> Vec<FeedAction> {
        if self.state == State::Over {
            return vec![];
        }
        self.heard_ms = moment.now_ms;
        self.committed = moment.committed;
        match message {
            Message::Follow(follow) if self.state == State::Asked => self.on_follow(follow),
            Message::StatusUpdate(status_update) => self.on_status_update(moment, status_update),
            Message::LastUsed(last_used) => vec![FeedAction::LastUsed(last_used)],
            Message::Refused(refusal) => {
                let mut actions = vec![];
                if let Refusal::Older { epoch } = refusal
                    && epoch > self.history.newest()
                {
                    actions.push(FeedAction::Replaced(epoch));
                }
                actions.push(self.end(FeedEnd::Refused(refusal)));
                actions
            }
            _ => vec![self.end(FeedEnd::Protocol("a message out of turn"))],
        }
    }

    /// The changes up to `committed` are durable at the primary.
    pub fn on_committed(&mut self, now_ms: u64, committed: Position) -> Vec<FeedAction> {
        self.committed = self.committed.max(committed);
        self.advance(now_ms)
    }

    /// What was sent has left, or is about to: more may be read.
    pub fn on_room(&mut self, now_ms: u64) -> Vec<FeedAction> {
        self.room = true;
        self.advance(now_ms)
    }

    /// Handles the result of storage work.
    pub fn on_done(&mut self, now_ms: u64, done: SourceDone) -> Vec<FeedAction> {
        self.reading = false;
        if self.state == State::Over {
            return vec![];
        }
        let mut actions = match done {
            SourceDone::Looked(looked) => self.on_looked(looked),
            SourceDone::Read(reading) => vec![self.on_read(reading)],
            SourceDone::CopyOpened(opening) => self.on_copy_opened(&opening),
            SourceDone::CopyRead(CopyReading::Rows(rows, end)) => self.on_rows(now_ms, rows, end),
            SourceDone::CopyRead(CopyReading::Gone) => vec![self.end(FeedEnd::Gone)],
            SourceDone::Failed(error) => vec![self.end(FeedEnd::Source(error))],
        };
        actions.extend(self.advance(now_ms));
        actions
    }

    /// Starts the next read, if there is something to read and room to send it.
    fn advance(&mut self, now_ms: u64) -> Vec<FeedAction> {
        if self.reading || !self.room {
            return vec![];
        }
        let work = match &self.state {
            State::Streaming(sent) if sent.sequence < self.committed.sequence => {
                self.read_after(*sent)
            }
            State::Copying(place) if self.throttle.is_free(now_ms) => SourceWork::ReadCopy {
                place: place.clone(),
                bytes_max: CHUNK_BYTES,
            },
            _ => return vec![],
        };
        vec![self.work(work)]
    }

    /// Keeps time. Call it a few times per `HEARTBEAT_MS`, and at [`Feed::wake_ms`].
    pub fn on_tick(&mut self, moment: Moment) -> Vec<FeedAction> {
        if self.state == State::Over {
            return vec![];
        }
        if moment.now_ms.saturating_sub(self.heard_ms) > SILENCE_MS {
            return vec![self.end(FeedEnd::Silent)];
        }
        self.committed = moment.committed;
        let mut actions = self.advance(moment.now_ms);
        let welcomed = matches!(self.state, State::Copying(_) | State::Streaming(_));
        let due = self
            .heartbeat_ms
            .is_none_or(|heartbeat| moment.now_ms.saturating_sub(heartbeat) >= HEARTBEAT_MS);
        // Heartbeats would only pile up behind a batch that does not leave.
        if welcomed && due && self.room {
            actions.push(self.heartbeat(moment));
        }
        actions
    }

    /// When a throttled copy continues, by the monotonic clock.
    #[must_use]
    pub fn wake_ms(&self) -> Option<u64> {
        matches!(self.state, State::Copying(_)).then(|| self.throttle.free_at_ms())
    }

    fn heartbeat(&mut self, moment: Moment) -> FeedAction {
        self.heartbeat_ms = Some(moment.now_ms);
        FeedAction::Send(Message::Heartbeat(Heartbeat {
            committed: self.committed,
            time_ms: moment.wall_ms,
            echo_ms: self.echo_ms,
        }))
    }

    fn work(&mut self, work: SourceWork) -> FeedAction {
        self.reading = true;
        FeedAction::Work(work)
    }

    fn refuse(&mut self, refusal: Refusal) -> Vec<FeedAction> {
        vec![
            FeedAction::Send(Message::Refused(refusal)),
            self.end(FeedEnd::Refused(refusal)),
        ]
    }

    fn end(&mut self, end: FeedEnd) -> FeedAction {
        self.state = State::Over;
        FeedAction::Close(end)
    }
}

/// Whether both nodes hold the same change at one position.
fn same(theirs: Option<Digest>, ours: Option<Digest>) -> bool {
    theirs == ours || crate::failpoint::ignores_epochs() || crate::failpoint::ignores_digests()
}

#[cfg(test)]
mod tests;
