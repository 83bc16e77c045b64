//! The driver of a primary. It listens, and feeds each replica that connects in a task of its own.
//!
//! Guarantees:
//! - Strangers cost little, and keep no replica out: a limited number of connections is in the
//!   handshake at a time, each for a few seconds at most. A further one takes the place of another;
//!   see [`strangers`]. Addresses outside the allow-list, if there is one, are refused at once.
//! - When a connection ends, waiting writes learn of it, even if its task was aborted.
//! - A replica that connects again replaces its previous connection.
//! - All full copies together stay below the rate limit.

mod endpoint;
mod lag_timer;
mod outsiders;
mod registry;
mod replica_session;
mod strangers;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use talos_model::cidr::{self, Cidr};
use talos_model::{Acceptance, Epoch, EpochHistory, Position};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::endpoint::{End, PrimaryEndpoint, log};
use self::outsiders::Outsiders;
use self::registry::ReplicaRegistry;
pub use self::registry::{FedReplica, FedState, PrimaryStatus};
use self::strangers::{StrangerPlace, strangers};
use super::ack_waiters::{NotReplicated, Waiting};
use super::clock::now_ms;
use super::connection::serve;
use super::tls::PrimaryTls;
use super::{GREETING, HANDSHAKE, TICK};
use crate::acks::Wait;
use crate::handshake::Identity;
use crate::limits::REPLICAS;
use crate::link::LinkError;
use crate::message::LastUsed;
use crate::source::ChangeSource;

/// The pause after a failed accept.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The node that a primary runs on. No call may block.
pub trait PrimaryNode: Send + Sync + 'static {
    /// Its storage.
    type Source: ChangeSource + Send + 'static;

    /// A handle of its storage for one more feed. All handles share the same copies.
    fn source(&self) -> Self::Source;

    /// Its epoch history, which does not change while this primary runs.
    fn history(&self) -> EpochHistory;

    /// Its last durable change. Updated before the write of that change is acknowledged.
    fn committed(&self) -> watch::Receiver<Position>;

    /// A replica reports when keys were last used there.
    fn on_last_used(&self, last_used: Vec<LastUsed>);

    /// Another primary has this later epoch. After this call no further write may be acknowledged.
    fn on_replaced(&self, epoch: Epoch);
}

/// The settings of a primary.
#[derive(Clone, Debug)]
pub struct PrimarySettings {
    /// Its identity.
    pub identity: Identity,
    /// The longest staleness limit of the cluster's replicas, in milliseconds.
    pub max_staleness_ms: u64,
    /// Full copies that its storage keeps at a time.
    pub copies: usize,
    /// Bytes per second of all copies together.
    pub copy_bytes_per_s: u64,
    /// TLS, if enabled.
    pub tls: Option<PrimaryTls>,
    /// The addresses from which replicas may connect; empty = any.
    pub allowed: Vec<Cidr>,
    /// Which credentials the node accepts.
    pub acceptance: watch::Receiver<Acceptance>,
}

/// A primary that does not listen yet.
pub struct Primary<N> {
    shared: Arc<Shared<N>>,
}

struct Shared<N> {
    node: N,
    settings: PrimarySettings,
    registry: Arc<ReplicaRegistry>,
}

/// A handle of a running primary.
#[derive(Clone)]
pub struct PrimaryHandle {
    registry: Arc<ReplicaRegistry>,
}

impl<N: PrimaryNode> Primary<N> {
    /// Creates a primary on `node`. Writes can wait from now on.
    #[must_use]
    pub fn new(node: N, settings: PrimarySettings) -> Self {
        let epoch = node.history().newest();
        let position = *node.committed().borrow();
        let registry = Arc::new(ReplicaRegistry::new(
            epoch,
            position,
            settings.max_staleness_ms,
        ));
        Self {
            shared: Arc::new(Shared {
                node,
                settings,
                registry,
            }),
        }
    }

    /// A handle for the rest of the process.
    #[must_use]
    pub fn handle(&self) -> PrimaryHandle {
        PrimaryHandle {
            registry: Arc::clone(&self.shared.registry),
        }
    }

    /// Feeds the replicas that connect, until [`PrimaryHandle::stop`]. Writes that still wait then
    /// end with [`NotReplicated::Stopped`].
    pub async fn serve(self, listener: TcpListener) {
        let Self { shared } = self;
        let strangers = strangers();
        let mut outsiders = Outsiders::default();
        let mut stopping = shared.registry.stopping();
        let committed = shared.node.committed();
        let mut connections = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                accepted = listener.accept() => match accepted {
                    Ok((_, address)) if !is_allowed(&shared.settings, address) => {
                        outsiders.refused(address, now_ms());
                    }
                    Ok((stream, address)) => {
                        let place = strangers.admit(address.ip());
                        connections.spawn(attend(Arc::clone(&shared), (stream, address), place));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection for replication cannot be accepted");
                        sleep(ACCEPT_REST).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = tick.tick() => {
                    let position = *committed.borrow();
                    shared.registry.on_tick(position);
                    outsiders.on_tick(now_ms());
                }
            }
        }
        drop(listener);
        connections.shutdown().await;
        shared.registry.end();
    }
}

impl PrimaryHandle {
    /// Lets a write that is durable at `position` wait for replicas. Call it for every write before
    /// acknowledging it, even if it waits for no replica.
    ///
    /// # Errors
    /// [`NotReplicated`]: the write must not be acknowledged.
    pub fn wait(
        &self,
        position: Position,
        wait: Wait,
        at_most: Duration,
    ) -> Result<Waiting, NotReplicated> {
        self.registry.waiters.wait(position, wait, at_most)
    }

    /// How many replicas are connected, and so can confirm a write.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.registry.waiters.connected()
    }

    /// The status of the primary and its replicas, updated a few times a second.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<PrimaryStatus> {
        self.registry.status()
    }

    /// The number of refusals by reason.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.registry.refusals.counts().collect()
    }

    /// Ends all connections and [`Primary::serve`], without waiting.
    pub fn stop(&self) {
        self.registry.stop();
    }
}

/// Returns when the primary should stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Whether connections from `address` are accepted.
fn is_allowed(settings: &PrimarySettings, address: SocketAddr) -> bool {
    settings.allowed.is_empty() || cidr::allow(&settings.allowed, Some(address.ip()))
}

/// Serves a connection until it ends or is evicted.
async fn attend<N: PrimaryNode>(
    shared: Arc<Shared<N>>,
    (stream, address): (TcpStream, SocketAddr),
    (place, evicted): (StrangerPlace, talos_places::Evicted),
) {
    let evicted = async {
        // An error means that the other side has proven its identity.
        if evicted.await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        end = serve_one(shared, stream, address, place) => log(&end, address),
        () = evicted => tracing::debug!(%address, "a connection for replication is evicted"),
    }
}

async fn serve_one<N: PrimaryNode>(
    shared: Arc<Shared<N>>,
    stream: TcpStream,
    address: SocketAddr,
    place: StrangerPlace,
) -> End {
    // Fails only for a connection that has ended; the first read reports that.
    let _ = stream.set_nodelay(true);
    let endpoint = |place| PrimaryEndpoint::new(Arc::clone(&shared), address, place, now_ms());
    let Some(tls) = &shared.settings.tls else {
        return match endpoint(place) {
            Ok(mut endpoint) => serve(&mut endpoint, stream, &[]).await,
            Err(error) => End::Io(error),
        };
    };
    match timeout(GREETING, stream.readable()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return End::Io(error),
        Err(_) => return End::Link(LinkError::Silent),
    }
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => match endpoint(place) {
            Ok(mut endpoint) => serve(&mut endpoint, stream, &[]).await,
            Err(error) => End::Io(error),
        },
        Ok(Err(error)) => End::Io(error),
        Err(_) => End::Io(io::ErrorKind::TimedOut.into()),
    }
}

/// The rate of one full copy, so that all together stay below the limit.
fn copy_rate(settings: &PrimarySettings) -> u64 {
    let copies = settings.copies.clamp(1, REPLICAS) as u64;
    (settings.copy_bytes_per_s / copies).max(1)
}
