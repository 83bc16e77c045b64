//! The driver of a replica. It connects to its primary, follows it, and connects again whenever a
//! connection ends.
//!
//! Guarantees:
//! - Storage receives its work in one order across connections: a new connection is made only when
//!   all storage work is done.
//! - The status stops promising freshness before storage begins work that ends it.
//! - A replica that is stopped ends when its storage is idle, and returns the storage.

mod endpoint;
mod status;

use std::future::pending;
use std::io;
use std::time::Duration;

use talos_model::Acceptance;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use self::endpoint::{End, Reason, ReplicaEndpoint};
use self::status::Freshness;
pub use self::status::{ReplicaStatus, Stage};
use super::clock::now_ms;
use super::connection::serve;
use super::storage_worker::StorageWorker;
use super::tls::ReplicaTls;
use super::{HANDSHAKE, randomness};
use crate::backoff::Backoff;
use crate::follow::{FollowAction, Follower, Stop};
use crate::handshake::Identity;
use crate::ids::NodeId;
use crate::limits::LAST_USED_QUEUE;
use crate::message::LastUsed;
use crate::sink::{ChangeSink, DurableState, Progress, SinkDone, SinkError, SinkWork};

/// The most commands that may wait.
const COMMANDS: usize = 8;

/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Its identity.
    pub identity: Identity,
    /// How long the replica considers itself up to date after a heartbeat, in milliseconds.
    pub max_staleness_ms: u64,
    /// The address of its primary, as `HOST:PORT`. A name is resolved for every connection.
    pub primary: String,
    /// TLS, if enabled.
    pub tls: Option<ReplicaTls>,
    /// Which credentials the node accepts.
    pub acceptance: watch::Receiver<Acceptance>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Leave,
    Resync,
}

/// A replica that does not follow yet.
pub struct Replica<K: ChangeSink + Send + 'static> {
    settings: ReplicaSettings,
    follower: Follower,
    worker: StorageWorker<K, SinkWork>,
    backoff: Backoff,
    commands: mpsc::Receiver<Command>,
    last_used: mpsc::Receiver<Vec<LastUsed>>,
    leaving: bool,
    /// See [`ReplicaStatus::clock_offset_ms`].
    clock_offset_ms: Option<i64>,
    status: watch::Sender<ReplicaStatus>,
}

/// A handle of a running replica.
#[derive(Clone, Debug)]
pub struct ReplicaHandle {
    commands: mpsc::Sender<Command>,
    last_used: mpsc::Sender<Vec<LastUsed>>,
    status: watch::Receiver<ReplicaStatus>,
}

/// What a stopped replica returns.
#[derive(Debug)]
pub struct StoppedReplica<K> {
    /// Its storage, which is idle.
    pub sink: K,
    /// What is durable there.
    pub durable_state: DurableState,
}

/// The replica has ended already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica does not run")]
pub struct NotRunning;

impl ReplicaHandle {
    /// The status, updated on every change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<ReplicaStatus> {
        self.status.clone()
    }

    /// Ends the connection and [`Replica::run`].
    ///
    /// # Errors
    /// [`NotRunning`]
    pub async fn leave(&self) -> Result<(), NotRunning> {
        self.command(Command::Leave).await
    }

    /// Drops what the replica holds and copies it again. An operator decides this.
    ///
    /// # Errors
    /// [`NotRunning`]
    pub async fn resync(&self) -> Result<(), NotRunning> {
        self.command(Command::Resync).await
    }

    async fn command(&self, command: Command) -> Result<(), NotRunning> {
        self.commands.send(command).await.map_err(|_| NotRunning)
    }

    /// Reports to the primary when keys were last used here. Entries are lost without a primary;
    /// the next use of a key is reported again.
    ///
    /// # Errors
    /// The queue is full; returns the entries.
    pub fn report_last_used(&self, last_used: Vec<LastUsed>) -> Result<(), Vec<LastUsed>> {
        self.last_used
            .try_send(last_used)
            .map_err(mpsc::error::TrySendError::into_inner)
    }
}

impl<K: ChangeSink + Send + 'static> Replica<K> {
    /// Creates a replica on this storage. `durable_state` is what is durable there.
    #[must_use]
    pub fn new(
        sink: K,
        durable_state: DurableState,
        settings: ReplicaSettings,
    ) -> (Self, ReplicaHandle) {
        let follower = Follower::new(durable_state, settings.max_staleness_ms);
        let status = watch::Sender::new(ReplicaStatus::new(&follower));
        let (command, commands) = mpsc::channel(COMMANDS);
        let (report, last_used) = mpsc::channel(LAST_USED_QUEUE);
        let handle = ReplicaHandle {
            commands: command,
            last_used: report,
            status: status.subscribe(),
        };
        let replica = Self {
            settings,
            follower,
            worker: StorageWorker::new(sink),
            backoff: Backoff::default(),
            commands,
            last_used,
            leaving: false,
            clock_offset_ms: None,
            status,
        };
        (replica, handle)
    }

    /// Follows until [`ReplicaHandle::leave`]. Do not cancel it: storage would go on with the
    /// queued work.
    ///
    /// # Errors
    /// Storage has failed. What is on disk is unknown; restart the process.
    pub async fn run(mut self) -> Result<StoppedReplica<K>, SinkError> {
        loop {
            if let Some(Stop::Storage(error)) = self.follower.stop() {
                let error = error.clone();
                tracing::error!(%error, "the replica has stopped");
                self.publish(Stage::Stopped, None);
                return Err(error);
            }
            if self.leaving && self.worker.is_idle() {
                return self.give_back();
            }
            if !self.follower.may_connect() || self.leaving {
                let stage = if self.follower.stop().is_some() {
                    Stage::Stopped
                } else {
                    Stage::Disconnected
                };
                self.publish(stage, None);
                self.rest(None).await;
                continue;
            }
            let end = self.call().await;
            self.follower.on_disconnected();
            self.clock_offset_ms = None;
            self.note(&end);
            if matches!(end, End::Endpoint(Reason::Command)) {
                continue;
            }
            let pause = Duration::from_millis(self.backoff.next_ms(randomness::jitter()));
            self.rest(Some(Instant::now() + pause)).await;
        }
    }

    fn give_back(self) -> Result<StoppedReplica<K>, SinkError> {
        let Self {
            follower, worker, ..
        } = self;
        let durable_state = follower.durable_state().clone();
        let sink = worker
            .into_storage()
            .ok_or_else(|| SinkError("the work broke off".to_owned()))?;
        Ok(StoppedReplica {
            sink,
            durable_state,
        })
    }

    /// Connects, and follows until the connection ends.
    async fn call(&mut self) -> End {
        let begun_ms = now_ms();
        let connecting = connect(&self.settings);
        let connected = tokio::select! {
            connected = connecting => connected,
            command = next_command(&mut self.commands) => {
                self.on_command(command);
                return End::Endpoint(Reason::Command);
            }
        };
        match connected {
            Ok(Connected::Plain(stream)) => self.follow_on(stream, begun_ms).await,
            Ok(Connected::Tls(stream)) => self.follow_on(*stream, begun_ms).await,
            Err(error) => End::Endpoint(Reason::Connect(error)),
        }
    }

    async fn follow_on<S>(&mut self, stream: S, begun_ms: u64) -> End
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite,
    {
        match ReplicaEndpoint::new(self, begun_ms) {
            Ok((mut endpoint, greeting)) => serve(&mut endpoint, stream, &greeting).await,
            Err(error) => End::Endpoint(Reason::Connect(error)),
        }
    }

    /// Waits without a connection while storage works. Returns after a command, at the time
    /// `until`, or, without `until`, after a storage job.
    async fn rest(&mut self, until: Option<Instant>) {
        loop {
            tokio::select! {
                done = self.worker.next_done() => {
                    self.on_done(done);
                    self.publish(Stage::Disconnected, None);
                    if until.is_none() {
                        return;
                    }
                }
                command = next_command(&mut self.commands) => return self.on_command(command),
                // Dropped: there is no primary to report to.
                _ = next_last_used(&mut self.last_used) => {}
                () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => return,
            }
        }
    }

    fn on_done(&mut self, done: SinkDone) -> Vec<FollowAction> {
        if matches!(done, SinkDone::Applied(_) | SinkDone::Installed(..)) {
            self.backoff.reset();
        }
        self.follower.on_done(now_ms(), done)
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Leave => self.leaving = true,
            Command::Resync => {
                tracing::warn!("the replica will be copied anew, as it was ordered");
                self.follower.resync();
            }
        }
        self.backoff.reset();
    }

    fn note(&mut self, end: &End) {
        let stopped = self.follower.stop().is_some();
        match end {
            End::Endpoint(Reason::Command) => tracing::info!("the replica leaves its primary"),
            _ if stopped => tracing::error!(reason = %end, "the replica follows nobody any more"),
            _ => {
                tracing::warn!(primary = self.settings.primary, reason = %end, "the connection to the primary has ended");
            }
        }
        let text = end.to_string();
        self.status
            .send_modify(|status| status.last_end = Some(text));
        self.publish(
            if stopped {
                Stage::Stopped
            } else {
                Stage::Disconnected
            },
            None,
        );
    }

    /// Updates the status.
    fn publish(&self, stage: Stage, primary: Option<NodeId>) {
        let freshness = Freshness::of(&self.follower, self.settings.max_staleness_ms);
        let durable_state = self.follower.durable_state();
        let position = status::position(&durable_state.progress);
        let behind_changes = self.follower.lag().changes();
        let stage = match (stage, &durable_state.progress) {
            (Stage::Following, Progress::Copying(_)) => Stage::Copying,
            (stage, _) => stage,
        };
        self.status.send_if_modified(|status| {
            let old = (
                status.stage,
                status.position,
                status.primary,
                status.behind_changes,
                status.freshness,
                status.clock_offset_ms,
            );
            let new = (
                stage,
                position,
                primary,
                behind_changes,
                freshness,
                self.clock_offset_ms,
            );
            let same = old == new
                && status.stop.as_ref() == self.follower.stop()
                && status.history == durable_state.history;
            if same {
                return false;
            }
            status.stage = stage;
            status.position = position;
            status.primary = primary;
            status.behind_changes = behind_changes;
            status.freshness = freshness;
            status.clock_offset_ms = self.clock_offset_ms;
            status.stop = self.follower.stop().cloned();
            if status.history != durable_state.history {
                status.history = durable_state.history.clone();
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
        // Fails only for a connection that has ended; the first read reports that.
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

/// The next command. Pends when all handles are gone: the replica goes on.
async fn next_command(commands: &mut mpsc::Receiver<Command>) -> Command {
    match commands.recv().await {
        Some(command) => command,
        None => pending().await,
    }
}

async fn next_last_used(used: &mut mpsc::Receiver<Vec<LastUsed>>) -> Vec<LastUsed> {
    match used.recv().await {
        Some(last_used) => last_used,
        None => pending().await,
    }
}
