//! A primary: it listens, and feeds every replica that calls, each in a task of its own.
//!
//! Guarantees:
//! - Strangers cost little: so many connections at a time are between their begin and the proof of who they are, each for a
//!   few seconds at most; further ones wait in the backlog of the system.
//! - A connection that ends in whatever way, a task that is cut off included, is told to those who wait for replicas.
//! - A replica that calls again ends its connection of before.
//! - What full copies take together stays below the bound, however many there are.

mod endpoint;
mod lag_timer;
mod registry;
mod replica_session;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use self::endpoint::{End, PrimaryEndpoint, log};
use self::registry::ReplicaRegistry;
pub use self::registry::{FedReplica, FedState, PrimaryStatus};
use super::ack_waiters::{NotReplicated, Waiting};
use super::clock::now_ms;
use super::connection::serve;
use super::tls::PrimaryTls;
use super::{HANDSHAKE, TICK};
use crate::acks::Wait;
use crate::handshake::Identity;
use crate::history::EpochHistory;
use crate::limits::{HANDSHAKES, REPLICAS};
use crate::message::LastUsed;
use crate::position::{Epoch, Position};
use crate::source::ChangeSource;

/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The node that a primary runs on, but for its changes. No call may wait for anything.
pub trait PrimaryNode: Send + Sync + 'static {
    /// Its storage.
    type Source: ChangeSource + Send + 'static;

    /// Its storage, for one more feed. All of them keep the same copies.
    fn source(&self) -> Self::Source;

    /// Its history, which stays the same for as long as it is this primary.
    fn history(&self) -> EpochHistory;

    /// Its last durable change: told before the write of that change is acknowledged to anybody.
    fn committed(&self) -> watch::Receiver<Position>;

    /// A replica tells when keys were last used there.
    fn on_last_used(&self, last_used: Vec<LastUsed>);

    /// There is a primary of this later epoch. When this returns no further write is acknowledged.
    fn on_replaced(&self, epoch: Epoch);
}

/// What a primary is told.
#[derive(Clone, Debug)]
pub struct PrimarySettings {
    /// Who it is.
    pub identity: Identity,
    /// For how long replicas of this cluster take themselves to be up to date at most, in milliseconds.
    pub max_staleness_ms: u64,
    /// Full copies that its storage keeps at a time.
    pub copies: usize,
    /// Bytes per second that all of them may take together.
    pub copy_bytes_per_s: u64,
    /// TLS, if there is to be any.
    pub tls: Option<PrimaryTls>,
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

/// A primary, as the rest of its process sees it.
#[derive(Clone)]
pub struct PrimaryHandle {
    registry: Arc<ReplicaRegistry>,
}

impl<N: PrimaryNode> Primary<N> {
    /// Of this node. Writes can wait from now on.
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

    /// For the rest of the process.
    #[must_use]
    pub fn handle(&self) -> PrimaryHandle {
        PrimaryHandle {
            registry: Arc::clone(&self.shared.registry),
        }
    }

    /// Feeds whoever calls, until [`PrimaryHandle::stop`]. Writes that wait then are told that nobody listens any more.
    pub async fn serve(self, listener: TcpListener) {
        let Self { shared } = self;
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let mut stopping = shared.registry.stopping();
        let committed = shared.node.committed();
        let mut connections = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                accepted = accept(&listener, &handshakes) => match accepted {
                    Ok((stream, address, permit)) => {
                        let shared = Arc::clone(&shared);
                        connections.spawn(attend(shared, stream, address, permit));
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
                }
            }
        }
        drop(listener);
        connections.shutdown().await;
        shared.registry.end();
    }
}

impl PrimaryHandle {
    /// Lets a write that is durable at this position wait for replicas. To be called before it is acknowledged, whatever it
    /// waits for.
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

    /// Where the primary and its replicas stand, a few times a second.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<PrimaryStatus> {
        self.registry.status()
    }

    /// How often others were refused, by reason.
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.registry.refusals.counts().collect()
    }

    /// Ends all connections and [`Primary::serve`]; does not wait for it.
    pub fn stop(&self) {
        self.registry.stop();
    }
}

/// Returns when the primary is to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Fails when nobody is left who could ask for it, which is a stop, too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// The next connection; its place comes first, so that one without a place is not accepted.
async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(handshakes)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, permit))
}

async fn attend<N: PrimaryNode>(
    shared: Arc<Shared<N>>,
    stream: TcpStream,
    address: SocketAddr,
    permit: OwnedSemaphorePermit,
) {
    let begun_ms = now_ms();
    // Fails only for a connection that has ended, which the first read tells, too.
    let _ = stream.set_nodelay(true);
    let endpoint = PrimaryEndpoint::new(Arc::clone(&shared), address, permit, begun_ms);
    let mut endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::error!(%error, "a replica cannot be answered");
            return;
        }
    };
    let end = match &shared.settings.tls {
        None => serve(&mut endpoint, stream, &[]).await,
        Some(tls) => match timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => serve(&mut endpoint, stream, &[]).await,
            Ok(Err(error)) => End::Io(error),
            Err(_) => End::Io(io::ErrorKind::TimedOut.into()),
        },
    };
    log(&end, address);
}

/// What one full copy may take, so that all of them stay below the bound.
fn copy_rate(settings: &PrimarySettings) -> u64 {
    let copies = settings.copies.clamp(1, REPLICAS) as u64;
    (settings.copy_bytes_per_s / copies).max(1)
}
