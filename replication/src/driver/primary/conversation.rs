//! One connection of a primary, from the first byte to the last.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::lag_timer::LagTimer;
use super::registry::{FedState, Registration, Report};
use super::{PrimaryNode, Shared, copy_rate};
use crate::driver::clock::{now_ms, wall_ms};
use crate::driver::storage_worker::StorageWorker;
use crate::driver::transport::{Outbox, Transport};
use crate::driver::{TICK, randomness};
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
struct ReplicaSession<N: PrimaryNode> {
    feed: Feed,
    storage_worker: StorageWorker<N::Source, SourceWork>,
    committed: watch::Receiver<Position>,
    registration: Registration,
    lag_timer: LagTimer,
    report: Report,
}

impl<N: PrimaryNode> ReplicaSession<N> {
    fn moment(&self) -> Moment {
        Moment {
            now_ms: now_ms(),
            wall_ms: wall_ms(),
            committed: *self.committed.borrow(),
        }
    }

    fn on_durable(&mut self, durable: Position) {
        self.report.durable = Some(durable);
        self.lag_timer.on_durable(durable.sequence);
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
            let committed = self.committed.borrow().sequence;
            self.lag_timer.on_committed(now_ms(), committed);
        }
        self.report.behind_since_ms = self.lag_timer.since_ms();
        self.registration.report(self.report);
    }
}

/// What a connection waits for.
enum Event {
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
    session: Option<ReplicaSession<N>>,
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
            link: Link::answer(identity, randomness::nonce()?, begun_ms),
            shared,
            address,
            place: Some(place),
            session: None,
        })
    }

    /// Holds the conversation, and says why it has ended.
    pub(super) async fn hold<S: AsyncRead + AsyncWrite>(mut self, stream: S) -> End {
        let mut transport = Transport::new(stream);
        let end = self.talk(&mut transport).await;
        // Who waits for replicas need not wait for the rest, too.
        self.session = None;
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
            let wake = self
                .session
                .as_ref()
                .and_then(|session| wake(&session.feed));
            let (storage_worker, committed, cut) = match &mut self.session {
                Some(session) => {
                    let ReplicaSession {
                        storage_worker,
                        committed,
                        registration,
                        ..
                    } = session;
                    (
                        Some(storage_worker),
                        Some(committed),
                        Some(&mut registration.when_cut),
                    )
                }
                None => (None, None, None),
            };
            let event = tokio::select! {
                read = reader.read(input) => Event::Read(read),
                sent = outbox.send(writer), if outbox.is_waiting() => Event::Sent(sent),
                done = done(storage_worker) => Event::Done(done),
                committed = changed(committed) => Event::Head(committed),
                () = cut_off(cut) => Event::Cut,
                () = sleep(wake.unwrap_or_default()), if wake.is_some() => Event::Tick,
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
                0 => return Err(End::Closed),
                count => self.on_bytes(input.get(..count).unwrap_or_default(), outbox)?,
            },
            Event::Sent(sent) => sent?,
            Event::Done(done) => {
                self.with_session(outbox, |session| session.feed.on_done(now_ms(), done))?;
            }
            Event::Head(changed) => {
                changed.map_err(|_| End::NodeStops)?;
                self.with_session(outbox, |session| {
                    let committed = *session.committed.borrow_and_update();
                    session.feed.on_committed(now_ms(), committed)
                })?;
                if let Some(session) = &mut self.session {
                    session.tell();
                }
            }
            Event::Tick => {
                let now_ms = now_ms();
                self.link.on_tick(now_ms)?;
                if outbox.is_stuck(now_ms) {
                    return Err(End::Stuck);
                }
                self.with_session(outbox, |session| session.feed.on_tick(session.moment()))?;
            }
            Event::Cut => return Err(End::CalledAgain),
        }
        if outbox.has_room() {
            self.with_session(outbox, |session| session.feed.on_room(now_ms()))?;
        }
        Ok(())
    }

    fn on_bytes(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), End> {
        let incoming = self.link.on_bytes(bytes, outbox.end());
        if let Err(LinkError::Handshake(HandshakeError::Refuses(refusal))) = &incoming {
            self.shared.registry.refusals.note(*refusal);
        }
        for one in incoming? {
            match one {
                Incoming::Open(peer) => self.open(peer, outbox)?,
                Incoming::Message(message) => self.with_session(outbox, |session| {
                    session.feed.on_message(session.moment(), message)
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
            registry,
        } = &*self.shared;
        let Some(registration) = registry.register(peer, self.address) else {
            registry.refusals.note(Refusal::Busy);
            self.link
                .send(&Message::Refused(Refusal::Busy), outbox.end())?;
            return Err(FeedEnd::Refused(Refusal::Busy).into());
        };
        let mut committed = node.committed();
        let position = *committed.borrow_and_update();
        let throttle = Throttle::new(copy_rate(settings));
        tracing::info!(replica = %peer, address = %self.address, "a replica has called");
        self.session = Some(ReplicaSession {
            feed: Feed::new(node.history(), position, throttle, now_ms()),
            storage_worker: StorageWorker::new(node.source()),
            committed,
            registration,
            lag_timer: LagTimer::default(),
            report: Report {
                state: FedState::Asking,
                durable: None,
                behind_since_ms: None,
            },
        });
        Ok(())
    }

    /// Asks the feed and does what it says.
    fn with_session(
        &mut self,
        outbox: &mut Outbox,
        ask: impl FnOnce(&mut ReplicaSession<N>) -> Vec<FeedAction>,
    ) -> Result<(), End> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let registry = &self.shared.registry;
        let connection = session.registration.connection;
        let mut close = None;
        for action in ask(session) {
            match action {
                FeedAction::Send(message) => {
                    if let Message::Refused(refusal) = &message {
                        registry.refusals.note(*refusal);
                    }
                    self.link.send(&message, outbox.end())?;
                    session.on_sent(&message);
                }
                FeedAction::Work(work) => session.storage_worker.push(work),
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
                    registry
                        .waiters
                        .joined(connection, durable, max_staleness_ms);
                    session.on_durable(durable);
                }
                FeedAction::Acknowledged(durable) => {
                    registry.waiters.acknowledged(connection, durable);
                    session.on_durable(durable);
                }
                FeedAction::LastUsed(last_used) => self.shared.node.on_last_used(last_used),
                FeedAction::Replaced(epoch) => {
                    self.shared.node.on_replaced(epoch);
                    registry.on_replaced(epoch);
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
    storage_worker: Option<&mut StorageWorker<S, SourceWork>>,
) -> SourceDone {
    match storage_worker {
        Some(storage_worker) => storage_worker.done().await,
        None => pending().await,
    }
}

async fn changed(
    committed: Option<&mut watch::Receiver<Position>>,
) -> Result<(), watch::error::RecvError> {
    match committed {
        Some(committed) => committed.changed().await,
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
