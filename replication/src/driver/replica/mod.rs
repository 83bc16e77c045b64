//! A replica: it calls its primary, follows it, and calls again whenever a connection ends.
//!
//! Guarantees:
//! - Storage is told everything in one order, across connections: a new one is made when all of its work is done.
//! - What the status says of freshness holds before storage begins to do what would make it untrue.
//! - A replica that is told to leave ends when its storage is at rest, and gives it back.

mod session;
mod status;

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use self::session::{End, Session};
use self::status::Freshness;
pub use self::status::{ReplicaStatus, Stage};
use super::clock::now_ms;
use super::desk::Desk;
use super::tls::ReplicaTls;
use super::{HANDSHAKE, dice};
use crate::backoff::Backoff;
use crate::follow::{Follow, FollowAction, Stop};
use crate::handshake::Identity;
use crate::limits::USED_WAITING;
use crate::message::Stamp;
use crate::position::NodeId;
use crate::sink::{ChangeSink, Place, SinkDone, SinkError, SinkWork, Standing};

/// Orders that wait until they are obeyed.
const ORDERS: usize = 8;

/// What a replica is told.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Who it is.
    pub identity: Identity,
    /// For how long it takes itself to be up to date, in milliseconds.
    pub max_staleness_ms: u64,
    /// Where its primary listens, as `HOST:PORT`; a name is looked up for every connection.
    pub primary: String,
    /// TLS, if there is to be any.
    pub tls: Option<ReplicaTls>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Leave,
    Resync,
}

/// A replica that does not follow yet.
pub struct Replica<K: ChangeSink + Send + 'static> {
    settings: ReplicaSettings,
    follow: Follow,
    desk: Desk<K, SinkWork>,
    backoff: Backoff,
    orders: mpsc::Receiver<Order>,
    used: mpsc::Receiver<Vec<Stamp>>,
    leaving: bool,
    status: watch::Sender<ReplicaStatus>,
}

/// A replica, as the rest of its process sees it.
#[derive(Clone, Debug)]
pub struct ReplicaHandle {
    orders: mpsc::Sender<Order>,
    used: mpsc::Sender<Vec<Stamp>>,
    status: watch::Receiver<ReplicaStatus>,
}

/// What a replica gives back that has left its primary.
#[derive(Debug)]
pub struct Left<K> {
    /// Its storage, which is at rest.
    pub sink: K,
    /// What is durable there.
    pub standing: Standing,
}

/// The replica has ended already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica does not run")]
pub struct NotRunning;

impl ReplicaHandle {
    /// Where it stands, whenever that changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ReplicaStatus> {
        self.status.clone()
    }

    /// Ends the connection and [`Replica::run`].
    ///
    /// # Errors
    /// It has ended already.
    pub async fn leave(&self) -> Result<(), NotRunning> {
        self.order(Order::Leave).await
    }

    /// Throws away what the replica holds and has it copied anew: an operator's decision.
    ///
    /// # Errors
    /// It has ended already.
    pub async fn resync(&self) -> Result<(), NotRunning> {
        self.order(Order::Resync).await
    }

    async fn order(&self, order: Order) -> Result<(), NotRunning> {
        self.orders.send(order).await.map_err(|_| NotRunning)
    }

    /// Tells the primary when keys were last used here. Stamps for which there is no room, or no primary, are given back or
    /// lost: a later one says the same.
    ///
    /// # Errors
    /// There is no room.
    pub fn tell_used(&self, stamps: Vec<Stamp>) -> Result<(), Vec<Stamp>> {
        self.used
            .try_send(stamps)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl<K: ChangeSink + Send + 'static> Replica<K> {
    /// With this storage, in which this is durable.
    #[must_use]
    pub fn new(sink: K, standing: Standing, settings: ReplicaSettings) -> (Self, ReplicaHandle) {
        let follow = Follow::new(standing, settings.max_staleness_ms);
        let status = watch::Sender::new(ReplicaStatus::new(&follow));
        let (order, orders) = mpsc::channel(ORDERS);
        let (use_now, used) = mpsc::channel(USED_WAITING);
        let handle = ReplicaHandle {
            orders: order,
            used: use_now,
            status: status.subscribe(),
        };
        let replica = Self {
            settings,
            follow,
            desk: Desk::new(sink),
            backoff: Backoff::default(),
            orders,
            used,
            leaving: false,
            status,
        };
        (replica, handle)
    }

    /// Follows until [`ReplicaHandle::leave`]. Does not end otherwise, and must not be cut off: its storage would go on with
    /// what it was told.
    ///
    /// # Errors
    /// Storage has failed: what is on disk is unknown, and the process has to be started again.
    pub async fn run(mut self) -> Result<Left<K>, SinkError> {
        loop {
            if let Some(Stop::Storage(error)) = self.follow.stop() {
                let error = error.clone();
                tracing::error!(%error, "the replica has stopped");
                self.show(Stage::Stopped, None);
                return Err(error);
            }
            if self.leaving && self.desk.is_idle() {
                return self.give_back();
            }
            if !self.follow.may_connect() || self.leaving {
                let stage = if self.follow.stop().is_some() {
                    Stage::Stopped
                } else {
                    Stage::Apart
                };
                self.show(stage, None);
                self.rest(None).await;
                continue;
            }
            let end = self.call().await;
            self.follow.on_disconnected();
            self.note(&end);
            if matches!(end, End::Ordered) {
                continue;
            }
            let pause = Duration::from_millis(self.backoff.next_ms(dice::number()));
            self.rest(Some(Instant::now() + pause)).await;
        }
    }

    fn give_back(self) -> Result<Left<K>, SinkError> {
        let Self { follow, desk, .. } = self;
        let standing = follow.standing().clone();
        let sink = desk
            .into_storage()
            .ok_or_else(|| SinkError("the work broke off".to_owned()))?;
        Ok(Left { sink, standing })
    }

    /// Makes a connection and follows as long as it lasts.
    async fn call(&mut self) -> End {
        let begun_ms = now_ms();
        let connecting = connect(&self.settings);
        let connected = tokio::select! {
            connected = connecting => connected,
            order = next_order(&mut self.orders) => {
                self.obey(order);
                return End::Ordered;
            }
        };
        match connected {
            Ok(Connected::Plain(stream)) => self.follow_on(stream, begun_ms).await,
            Ok(Connected::Tls(stream)) => self.follow_on(*stream, begun_ms).await,
            Err(error) => End::Connect(error),
        }
    }

    async fn follow_on<S>(&mut self, stream: S, begun_ms: u64) -> End
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
    {
        match Session::new(self, begun_ms) {
            Ok(session) => session.hold(stream).await,
            Err(error) => End::Connect(error),
        }
    }

    /// Lets storage go on with its work and obeys orders, until something has happened that may change what is to be done:
    /// an order, work that is done when there is no time to wait for, or that time.
    async fn rest(&mut self, until: Option<Instant>) {
        loop {
            tokio::select! {
                done = self.desk.done() => {
                    self.on_done(done);
                    self.show(Stage::Apart, None);
                    if until.is_none() {
                        return;
                    }
                }
                order = next_order(&mut self.orders) => return self.obey(order),
                // Without a primary there is nobody to tell.
                _ = next_used(&mut self.used) => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return,
            }
        }
    }

    fn on_done(&mut self, done: SinkDone) -> Vec<FollowAction> {
        if matches!(done, SinkDone::Applied(_) | SinkDone::Installed(..)) {
            self.backoff.reset();
        }
        self.follow.on_done(now_ms(), done)
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Leave => self.leaving = true,
            Order::Resync => {
                tracing::warn!("the replica will be copied anew, as it was ordered");
                self.follow.resync();
            }
        }
        self.backoff.reset();
    }

    fn note(&mut self, end: &End) {
        let stopped = self.follow.stop().is_some();
        match end {
            End::Ordered => tracing::info!("the replica leaves its primary"),
            _ if stopped => tracing::error!(reason = %end, "the replica follows nobody any more"),
            _ => {
                tracing::warn!(primary = self.settings.primary, reason = %end, "the connection to the primary has ended");
            }
        }
        let text = end.to_string();
        self.status
            .send_modify(|status| status.last_end = Some(text));
        self.show(
            if stopped {
                Stage::Stopped
            } else {
                Stage::Apart
            },
            None,
        );
    }

    /// Shows where the replica stands.
    fn show(&self, stage: Stage, primary: Option<NodeId>) {
        let freshness = Freshness::of(&self.follow, self.settings.max_staleness_ms);
        let standing = self.follow.standing();
        let position = status::position(&standing.place);
        let behind_changes = self.follow.lag().changes();
        let stage = match (stage, &standing.place) {
            (Stage::Following, Place::Copying(_)) => Stage::Copying,
            (stage, _) => stage,
        };
        self.status.send_if_modified(|status| {
            let old = (
                status.stage,
                status.position,
                status.primary,
                status.behind_changes,
                status.freshness,
            );
            let same = old == (stage, position, primary, behind_changes, freshness)
                && status.stop.as_ref() == self.follow.stop()
                && status.history == standing.history;
            if same {
                return false;
            }
            status.stage = stage;
            status.position = position;
            status.primary = primary;
            status.behind_changes = behind_changes;
            status.freshness = freshness;
            status.stop = self.follow.stop().cloned();
            if status.history != standing.history {
                status.history = standing.history.clone();
            }
            true
        });
    }
}

enum Connected {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

async fn connect(settings: &ReplicaSettings) -> io::Result<Connected> {
    let connected = async {
        let stream = TcpStream::connect(&settings.primary).await?;
        // Fails only for a connection that has ended, which the first read tells, too.
        let _ = stream.set_nodelay(true);
        Ok(match &settings.tls {
            None => Connected::Plain(stream),
            Some(tls) => Connected::Tls(Box::new(tls.connect(stream).await?)),
        })
    };
    timeout(HANDSHAKE, connected)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The next order. When nobody is left who could give one, the replica goes on as it was told.
async fn next_order(orders: &mut mpsc::Receiver<Order>) -> Order {
    match orders.recv().await {
        Some(order) => order,
        None => pending().await,
    }
}

async fn next_used(used: &mut mpsc::Receiver<Vec<Stamp>>) -> Vec<Stamp> {
    match used.recv().await {
        Some(stamps) => stamps,
        None => pending().await,
    }
}
