//! One connection of a primary, from the first byte to the last.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::behind::Behind;
use super::board::{FedState, Report, Seat};
use super::{PrimaryNode, Shared, copy_rate};
use crate::driver::clock::{now_ms, wall_ms};
use crate::driver::desk::Desk;
use crate::driver::line::{Line, Outbox};
use crate::driver::{TICK, dice};
use crate::feed::{Feed, FeedAction, FeedEnd, Moment};
use crate::handshake::HandshakeError;
use crate::limits::SILENCE_MS;
use crate::link::{Incoming, Link, LinkError};
use crate::message::{End as Part, Message, Plan};
use crate::position::{NodeId, Position};
use crate::refusal::Refusal;
use crate::source::{SourceDone, SourceWork};
use crate::throttle::Throttle;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error(transparent)]
    Feed(#[from] FeedEnd),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the replica has closed the connection")]
    Closed,
    #[error("the replica has taken nothing for {SILENCE_MS} ms")]
    Stuck,
    #[error("the replica has called again")]
    CalledAgain,
    #[error("the node stops")]
    NodeStops,
}

impl End {
    /// Strangers can bring about most ends, so these are told to those who ask for them only.
    pub(super) fn log(&self, address: SocketAddr) {
        match self {
            Self::Feed(FeedEnd::Source(_) | FeedEnd::Broken(_)) => {
                tracing::error!(%address, error = %self, "a replica cannot be fed");
            }
            Self::Feed(_) | Self::Stuck => {
                tracing::warn!(%address, reason = %self, "a replica's connection ends");
            }
            _ => tracing::debug!(%address, reason = %self, "a connection for replication ends"),
        }
    }
}

/// A replica that has proven who it is.
struct Guest<N: PrimaryNode> {
    feed: Feed,
    desk: Desk<N::Source, SourceWork>,
    head: watch::Receiver<Position>,
    seat: Seat,
    behind: Behind,
    report: Report,
}

impl<N: PrimaryNode> Guest<N> {
    fn moment(&self) -> Moment {
        Moment {
            now_ms: now_ms(),
            wall_ms: wall_ms(),
            head: *self.head.borrow(),
        }
    }

    fn on_durable(&mut self, durable: Position) {
        self.report.durable = Some(durable);
        self.behind.on_durable(durable.sequence);
        self.tell();
    }

    fn on_sent(&mut self, message: &Message) {
        let state = match message {
            Message::Welcome(welcome) => match welcome.plan {
                Plan::Feed(_) => FedState::Following,
                Plan::Copy(_) => FedState::Copying,
            },
            Message::Chunk(chunk) if chunk.end == Part::Last => FedState::Following,
            _ => return,
        };
        self.report.state = state;
        self.tell();
    }

    fn tell(&mut self) {
        if self.report.durable.is_some() {
            let head = self.head.borrow().sequence;
            self.behind.on_head(now_ms(), head);
        }
        self.report.behind_since_ms = self.behind.since_ms();
        self.seat.report(self.report);
    }
}

/// What a connection waits for.
enum Turn {
    Read(io::Result<usize>),
    Sent(io::Result<()>),
    Done(SourceDone),
    Head(Result<(), watch::error::RecvError>),
    Tick,
    Cut,
}

pub(super) struct Conversation<N: PrimaryNode> {
    shared: Arc<Shared<N>>,
    address: SocketAddr,
    link: Link,
    /// Held until the other side has proven who it is.
    place: Option<OwnedSemaphorePermit>,
    guest: Option<Guest<N>>,
}

impl<N: PrimaryNode> Conversation<N> {
    pub(super) fn new(
        shared: Arc<Shared<N>>,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        begun_ms: u64,
    ) -> io::Result<Self> {
        let identity = shared.settings.identity.clone();
        Ok(Self {
            link: Link::answer(identity, dice::nonce()?, begun_ms),
            shared,
            address,
            place: Some(place),
            guest: None,
        })
    }

    /// Holds the conversation, and says why it has ended.
    pub(super) async fn hold<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> End {
        let mut line = Line::new(stream);
        let end = self.talk(&mut line).await;
        // Who waits for replicas need not wait for the rest, too.
        self.guest = None;
        if !matches!(end, End::Stuck | End::Io(_)) {
            line.close().await;
        }
        end
    }

    async fn talk<S: AsyncRead + AsyncWrite>(&mut self, line: &mut Line<S>) -> End {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Line {
                reader,
                writer,
                input,
                outbox,
            } = line;
            let wake = self.guest.as_ref().and_then(|guest| wake(&guest.feed));
            let (desk, head, cut) = match &mut self.guest {
                Some(guest) => {
                    let Guest {
                        desk, head, seat, ..
                    } = guest;
                    (Some(desk), Some(head), Some(&mut seat.when_cut))
                }
                None => (None, None, None),
            };
            let turn = tokio::select! {
                read = reader.read(input) => Turn::Read(read),
                sent = outbox.send(writer), if outbox.is_waiting() => Turn::Sent(sent),
                done = done(desk) => Turn::Done(done),
                head = changed(head) => Turn::Head(head),
                () = cut_off(cut) => Turn::Cut,
                () = sleep(wake.unwrap_or_default()), if wake.is_some() => Turn::Tick,
                _ = tick.tick() => Turn::Tick,
            };
            if let Err(end) = self.take(turn, input, outbox) {
                return end;
            }
        }
    }

    fn take(&mut self, turn: Turn, input: &[u8], outbox: &mut Outbox) -> Result<(), End> {
        match turn {
            Turn::Read(read) => match read? {
                0 => return Err(End::Closed),
                count => self.on_bytes(input.get(..count).unwrap_or_default(), outbox)?,
            },
            Turn::Sent(sent) => sent?,
            Turn::Done(done) => {
                self.with_guest(outbox, |guest| guest.feed.on_done(now_ms(), done))?;
            }
            Turn::Head(changed) => {
                changed.map_err(|_| End::NodeStops)?;
                self.with_guest(outbox, |guest| {
                    let head = *guest.head.borrow_and_update();
                    guest.feed.on_head(now_ms(), head)
                })?;
                if let Some(guest) = &mut self.guest {
                    guest.tell();
                }
            }
            Turn::Tick => {
                let now_ms = now_ms();
                self.link.on_tick(now_ms)?;
                if outbox.is_stuck(now_ms) {
                    return Err(End::Stuck);
                }
                self.with_guest(outbox, |guest| guest.feed.on_tick(guest.moment()))?;
            }
            Turn::Cut => return Err(End::CalledAgain),
        }
        if outbox.has_room() {
            self.with_guest(outbox, |guest| guest.feed.on_room(now_ms()))?;
        }
        Ok(())
    }

    fn on_bytes(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), End> {
        let incoming = self.link.on_bytes(bytes, outbox.end());
        if let Err(LinkError::Handshake(HandshakeError::Refuses(refusal))) = &incoming {
            self.shared.board.refusals.note(*refusal);
        }
        for one in incoming? {
            match one {
                Incoming::Open(peer) => self.open(peer, outbox)?,
                Incoming::Message(message) => self.with_guest(outbox, |guest| {
                    guest.feed.on_message(guest.moment(), message)
                })?,
            }
        }
        Ok(())
    }

    /// The replica has proven who it is.
    fn open(&mut self, peer: NodeId, outbox: &mut Outbox) -> Result<(), End> {
        self.place = None;
        let Shared {
            node,
            settings,
            board,
        } = &*self.shared;
        let Some(seat) = board.seat(peer, self.address) else {
            board.refusals.note(Refusal::Busy);
            self.link
                .send(&Message::Refused(Refusal::Busy), outbox.end())?;
            return Err(FeedEnd::Refused(Refusal::Busy).into());
        };
        let mut head = node.head();
        let position = *head.borrow_and_update();
        let throttle = Throttle::new(copy_rate(settings));
        tracing::info!(replica = %peer, address = %self.address, "a replica has called");
        self.guest = Some(Guest {
            feed: Feed::new(node.history(), position, throttle, now_ms()),
            desk: Desk::new(node.source()),
            head,
            seat,
            behind: Behind::default(),
            report: Report {
                state: FedState::Asking,
                durable: None,
                behind_since_ms: None,
            },
        });
        Ok(())
    }

    /// Asks the feed and does what it says.
    fn with_guest(
        &mut self,
        outbox: &mut Outbox,
        ask: impl FnOnce(&mut Guest<N>) -> Vec<FeedAction>,
    ) -> Result<(), End> {
        let Some(guest) = &mut self.guest else {
            return Ok(());
        };
        let board = &self.shared.board;
        let connection = guest.seat.connection;
        let mut close = None;
        for action in ask(guest) {
            match action {
                FeedAction::Send(message) => {
                    if let Message::Refused(refusal) = &message {
                        board.refusals.note(*refusal);
                    }
                    self.link.send(&message, outbox.end())?;
                    guest.on_sent(&message);
                }
                FeedAction::Work(work) => guest.desk.push(work),
                FeedAction::Joined {
                    durable,
                    max_staleness_ms,
                } => {
                    if max_staleness_ms > self.shared.settings.max_staleness_ms {
                        tracing::warn!(
                            replica = %connection.node, max_staleness_ms,
                            "a replica takes itself to be up to date for longer than this primary is told"
                        );
                    }
                    board.waits.joined(connection, durable, max_staleness_ms);
                    guest.on_durable(durable);
                }
                FeedAction::Acknowledged(durable) => {
                    board.waits.acknowledged(connection, durable);
                    guest.on_durable(durable);
                }
                FeedAction::Used(stamps) => self.shared.node.on_used(stamps),
                FeedAction::Replaced(epoch) => {
                    self.shared.node.on_replaced(epoch);
                    board.on_replaced(epoch);
                }
                FeedAction::Close(end) => close = Some(end),
            }
        }
        close.map_or(Ok(()), |end| Err(end.into()))
    }
}

/// How long until a throttled copy goes on.
fn wake(feed: &Feed) -> Option<Duration> {
    let left = feed.wake_ms()?.saturating_sub(now_ms());
    (left > 0).then(|| Duration::from_millis(left))
}

async fn done<S: crate::source::ChangeSource + Send + 'static>(
    desk: Option<&mut Desk<S, SourceWork>>,
) -> SourceDone {
    match desk {
        Some(desk) => desk.done().await,
        None => pending().await,
    }
}

async fn changed(
    head: Option<&mut watch::Receiver<Position>>,
) -> Result<(), watch::error::RecvError> {
    match head {
        Some(head) => head.changed().await,
        None => pending().await,
    }
}

async fn cut_off(cut: Option<&mut oneshot::Receiver<()>>) {
    match cut {
        // Nothing is ever sent: the place is given away when the sender is dropped.
        Some(cut) => {
            let _ = cut.await;
        }
        None => pending().await,
    }
}
