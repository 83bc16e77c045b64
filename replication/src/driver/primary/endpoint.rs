//! The primary's end of a connection.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use talos_model::Acceptance;
use tokio::sync::watch;

use super::replica_session::ReplicaSession;
use super::strangers::{self, StrangerPlace};
use super::{PrimaryNode, Shared, copy_rate};
use crate::driver::clock::now_ms;
use crate::driver::connection::{self, Endpoint};
use crate::driver::randomness;
use crate::driver::transport::Outbox;
use crate::feed::{Feed, FeedAction, FeedEnd};
use crate::ids::NodeId;
use crate::link::Link;
use crate::message::Message;
use crate::refusal::Refusal;
use crate::session::Side;
use crate::source::SourceDone;
use crate::throttle::Throttle;

/// Why a primary closes a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    #[error(transparent)]
    Feed(FeedEnd),
    #[error("the replica has called again")]
    CalledAgain,
    #[error("the node stops")]
    NodeStops,
}

pub(super) type End = connection::End<Reason>;

/// Logs the end of a connection. Anybody on the network can cause most ends: those are logged at
/// debug level only.
pub(super) fn log(end: &End, address: SocketAddr) {
    match end {
        End::Endpoint(Reason::Feed(FeedEnd::Source(_) | FeedEnd::Broken(_))) => {
            tracing::error!(%address, error = %end, "a replica cannot be fed");
        }
        End::Endpoint(Reason::Feed(_)) | End::Stuck(_) => {
            tracing::warn!(%address, reason = %end, "a replica's connection ends");
        }
        _ => tracing::debug!(%address, reason = %end, "a connection for replication ends"),
    }
}

/// What a primary waits for besides the connection.
pub(super) enum Event {
    Done(SourceDone),
    Committed(Result<(), watch::error::RecvError>),
    CalledAgain,
}

pub(super) struct PrimaryEndpoint<N: PrimaryNode> {
    shared: Arc<Shared<N>>,
    address: SocketAddr,
    link: Link,
    /// Held until the other node has proven its identity.
    place: Option<StrangerPlace>,
    /// The replica, once it has proven its identity.
    session: Option<ReplicaSession<N>>,
    /// Which credentials this node accepts, and the replica, if it has said so.
    acceptance: watch::Receiver<Acceptance>,
    theirs: Option<Acceptance>,
}

impl<N: PrimaryNode> PrimaryEndpoint<N> {
    pub(super) fn new(
        shared: Arc<Shared<N>>,
        address: SocketAddr,
        place: StrangerPlace,
        begun_ms: u64,
    ) -> io::Result<Self> {
        let identity = shared.settings.identity.clone();
        Ok(Self {
            link: Link::answer(identity, randomness::nonce()?, begun_ms),
            acceptance: shared.settings.acceptance.clone(),
            theirs: None,
            shared,
            address,
            place: Some(place),
            session: None,
        })
    }

    /// Compares which credentials both nodes accept.
    fn compare(&self) {
        let (Some(session), Some(theirs)) = (&self.session, &self.theirs) else {
            return;
        };
        let differences = self.acceptance.borrow().differences(theirs);
        let replica = session.registration.connection.node;
        for difference in &differences {
            tracing::warn!(%replica, "a replica accepts other credentials: {difference}");
        }
        session.registration.note_differences(differences);
    }

    /// Lets the feed, if there is one yet, handle something, and carries out its actions.
    fn with_session(
        &mut self,
        outbox: &mut Outbox,
        handle: impl FnOnce(&mut ReplicaSession<N>) -> Vec<FeedAction>,
    ) -> Result<(), End> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let registry = &self.shared.registry;
        let connection = session.registration.connection;
        let mut close = None;
        for action in handle(session) {
            match action {
                FeedAction::Send(message) => {
                    if let Message::Refused(refusal) = &message {
                        registry.refusals.note(*refusal);
                    }
                    self.link.send(&message, outbox.buffer())?;
                    session.on_sent(&message);
                }
                FeedAction::Work(work) => session.worker.push(work),
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
        close.map_or(Ok(()), |end| Err(End::Endpoint(Reason::Feed(end))))
    }
}

impl<N: PrimaryNode> Endpoint for PrimaryEndpoint<N> {
    const PEER: Side = Side::Replica;
    type Event = Event;
    type Reason = Reason;

    fn link(&mut self) -> &mut Link {
        &mut self.link
    }

    /// When a throttled copy goes on.
    fn wake(&self) -> Option<Duration> {
        let wake_ms = self.session.as_ref()?.feed.wake_ms()?;
        let left = wake_ms.saturating_sub(now_ms());
        (left > 0).then(|| Duration::from_millis(left))
    }

    async fn next_event(&mut self, _has_room: bool) -> Event {
        let Some(session) = &mut self.session else {
            return pending().await;
        };
        let ReplicaSession {
            worker,
            committed,
            registration,
            ..
        } = session;
        tokio::select! {
            done = worker.next_done() => Event::Done(done),
            changed = committed.changed() => Event::Committed(changed),
            // Nothing is ever sent: a later connection drops the sender.
            _ = &mut registration.replaced => Event::CalledAgain,
        }
    }

    fn on_event(&mut self, event: Event, outbox: &mut Outbox) -> Result<(), End> {
        match event {
            Event::Done(done) => {
                self.with_session(outbox, |session| session.feed.on_done(now_ms(), done))
            }
            Event::Committed(changed) => {
                changed.map_err(|_| End::Endpoint(Reason::NodeStops))?;
                self.with_session(outbox, |session| {
                    let committed = *session.committed.borrow_and_update();
                    session.feed.on_committed(now_ms(), committed)
                })?;
                if let Some(session) = &mut self.session {
                    session.report();
                }
                Ok(())
            }
            Event::CalledAgain => Err(End::Endpoint(Reason::CalledAgain)),
        }
    }

    fn on_handshake_refused(&mut self, refusal: Refusal) {
        self.shared.registry.refusals.note(refusal);
    }

    fn on_open(&mut self, peer: NodeId, outbox: &mut Outbox) -> Result<(), End> {
        self.place = None;
        let Shared {
            node,
            settings,
            registry,
        } = &*self.shared;
        let Some(registration) = registry.register(peer, self.address) else {
            registry.refusals.note(Refusal::Busy);
            self.link
                .send(&Message::Refused(Refusal::Busy), outbox.buffer())?;
            let busy = FeedEnd::Refused(Refusal::Busy);
            return Err(End::Endpoint(Reason::Feed(busy)));
        };
        let mut committed = node.committed();
        let position = *committed.borrow_and_update();
        let throttle = Throttle::new(copy_rate(settings));
        tracing::info!(replica = %peer, address = %self.address, "a replica has called");
        let feed = Feed::new(node.history(), position, throttle, now_ms());
        let session = ReplicaSession::new(feed, node.source(), committed, registration);
        self.session = Some(session);
        Ok(())
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
        self.theirs = acceptance;
        self.compare();
    }

    fn on_message(&mut self, message: Message, outbox: &mut Outbox) -> Result<(), End> {
        self.with_session(outbox, |session| {
            session.feed.on_message(session.moment(), message)
        })
    }

    fn on_tick(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        self.with_session(outbox, |session| session.feed.on_tick(session.moment()))
    }

    fn on_room(&mut self, outbox: &mut Outbox) -> Result<(), End> {
        if let Some(place) = &self.place
            && self.link.has_greeted()
        {
            strangers::has_greeted(place);
        }
        self.with_session(outbox, |session| session.feed.on_room(now_ms()))
    }

    /// Drops the replica at once: writes that wait for it must not wait for the last bytes, too.
    fn on_end(&mut self) {
        self.session = None;
    }
}
