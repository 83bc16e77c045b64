//! The primary's side of one replica, after the handshake.
//!
//! Guarantees:
//! - A replica is fed only what follows what it holds: one that holds changes which are not in the primary's history, or
//!   whose last change says something else than the primary's, is refused and told where the histories fork; one that knows a later epoch is refused, and the primary learns that it has
//!   been replaced.
//! - Only what is durable with the primary is sent, in order, without a gap. If storage says otherwise, the feed ends.
//! - At most one read of storage and one batch or chunk are under way for a replica, however slow it is. The log does not
//!   wait for it: when the changes it needs are gone, the feed ends, and the replica gets a full copy.
//! - A replica gets no promise of freshness (`lag.rs`) before writes can wait for it (`acks.rs`), and none by a committed that is
//!   older than what was acknowledged until then.

mod changes;
mod copy;
mod replica;

use crate::history::EpochHistory;
use crate::limits::{CHUNK_BYTES, HEARTBEAT_MS, SILENCE_MS};
use crate::message::{CopyPlace, Digest, Heartbeat, LastUsed, LogPoint, Message};
use crate::position::{Epoch, Position};
use crate::refusal::Refusal;
use crate::source::{CopyReading, SourceDone, SourceError, SourceWork};
use crate::throttle::Throttle;

/// What a feed wants done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedAction {
    /// Send this.
    Send(Message),
    /// Do this in storage, and say what came of it.
    Work(SourceWork),
    /// From now on writes can wait for the replica: this is durable there, and for so many milliseconds after a heartbeat
    /// it takes itself to be up to date.
    Joined {
        /// The last change that is durable there.
        durable: Position,
        /// Milliseconds.
        max_staleness_ms: u64,
    },
    /// The replica has been heard of, and this is durable there.
    Acknowledged(Position),
    /// When keys were last used there.
    LastUsed(Vec<LastUsed>),
    /// There is a primary of this later epoch. Accept no more writes.
    Replaced(Epoch),
    /// Close the connection when everything is sent.
    Close(FeedEnd),
}

/// Why a feed ends. The replica tries again after each of them, unless it was told not to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedEnd {
    /// The replica was refused.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Nothing was heard of the replica.
    #[error("nothing was heard of the replica for {SILENCE_MS} ms")]
    Silent,
    /// The replica says what it cannot say at that point.
    #[error("the replica breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The changes or the copy that the replica needs are kept no longer.
    #[error("what the replica needs next is kept no longer")]
    Gone,
    /// Storage failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Storage gave changes or rows that do not follow; for the operator.
    #[error("the primary's storage gave what does not follow: {0}")]
    Broken(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The replica has not said yet what it wants.
    Asked,
    /// The log is asked whether it reaches back to the replica.
    Looking(LogPoint),
    /// Storage is asked for a copy: for the one at this place, if it is still kept.
    Opening(Option<CopyPlace>),
    /// A copy is being sent; the rows before this place are.
    Copying(CopyPlace),
    /// Changes are being sent; those up to this one are.
    Streaming(Position),
    Over,
}

/// The feed of one replica.
#[derive(Debug)]
pub struct Feed {
    history: EpochHistory,
    committed: Position,
    state: State,
    /// The copy that was sent and that the replica has not confirmed.
    unconfirmed: Option<CopyPlace>,
    max_staleness_ms: u64,
    /// Whether writes can wait for the replica.
    joined: bool,
    /// The replica's clock, from its newest status update.
    echo_ms: Option<u64>,
    heard_ms: u64,
    heartbeat_ms: Option<u64>,
    /// Whether a read of storage is under way.
    reading: bool,
    /// Whether what was sent has left, so that more may be read.
    room: bool,
    throttle: Throttle,
}

/// When something is told to a feed, and what was true then. To be read anew for every call, after everything that the call
/// before has asked for is done: a heartbeat says that nothing beyond `committed` was acknowledged up to this moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Milliseconds of the monotonic clock.
    pub now_ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: i64,
    /// The last change that is durable with the primary.
    pub committed: Position,
}

impl Feed {
    /// The feed of a replica that has just proven who it is, from a primary with this history, whose last durable change
    /// is `committed`. Full copies take as much as `throttle` lets through.
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

    /// Takes a message of the replica.
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

    /// Takes notice that the changes up to `committed` are durable with the primary.
    pub fn on_committed(&mut self, now_ms: u64, committed: Position) -> Vec<FeedAction> {
        self.committed = self.committed.max(committed);
        self.advance(now_ms)
    }

    /// Takes notice that what was sent has left, or is about to: more may be read.
    pub fn on_room(&mut self, now_ms: u64) -> Vec<FeedAction> {
        self.room = true;
        self.advance(now_ms)
    }

    /// Takes what came of work.
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

    /// Begins the next read, if there is something to read and room for it.
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

    /// Looks at the time. To be called a few times within `HEARTBEAT_MS`, and at [`Feed::wake_ms`].
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
        // Behind a batch that does not leave, heartbeats would only pile up.
        if welcomed && due && self.room {
            actions.push(self.heartbeat(moment));
        }
        actions
    }

    /// When a copy that is throttled goes on.
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

/// Whether two nodes mean the same change at one place.
fn same(theirs: Option<Digest>, ours: Option<Digest>) -> bool {
    theirs == ours || crate::failpoint::ignores_epochs() || crate::failpoint::ignores_digests()
}

#[cfg(test)]
mod tests;
