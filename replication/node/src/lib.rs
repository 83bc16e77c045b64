//! A node of a fleet: an engine, and the replication driver of the node's current role.
//!
//! Guarantees:
//! - A promotion stops the replica, waits until its storage is idle, makes the new epoch durable,
//!   and only then accepts changes.
//! - A node that learns of a later epoch acknowledges nothing from then on. It steps down durably
//!   and feeds no replica.
//! - A promotion survives restarts while the configuration is the one that it overrode, unless the
//!   configured primary was promoted since.
//! - The checks of every request ([`Node::is_ready`], [`Node::shows`]) take no lock while the
//!   answer is yes.

#![forbid(unsafe_code)]

mod file;
mod primary_role;
mod probe;
mod readiness_lease;
mod role;
mod settings;
mod shared;
mod status;
pub mod store;
mod transitions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use talos_engine::Engine;
use talos_model::Position;
use talos_replication::driver::ack_waiters::NotReplicated;
use talos_replication::ids::NodeId;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

pub use self::file::NodeFile;
use self::readiness_lease::ReadinessLease;
use self::role::Role;
pub use self::settings::{
    ConfiguredRole, DivergedChanges, NodeError, NodeRefusal, NodeSettings, TooFewReplicas,
};
use self::shared::Shared;
pub use self::status::{NodeStatus, RequiredReplicas, Unready, WriteRole};

/// Threads for connections. Work that blocks on disk runs on other threads.
const THREADS: usize = 2;
/// How long [`Node::stop`] waits for the role to end.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
    on: tokio::runtime::Handle,
}

impl Node {
    /// Starts a node in the engine's mode, which must be that of [`NodeFile::mode`].
    ///
    /// # Errors
    /// [`NodeError`]
    pub fn start(
        engine: Arc<Engine>,
        mut file: NodeFile,
        settings: NodeSettings,
    ) -> Result<Self, NodeError> {
        let node = file.name().map_err(NodeError::File)?;
        if !file.is_promoted_over(&settings.configured_role) {
            file.note_promotion(None).map_err(NodeError::File)?;
        }
        let (moved, committed) = watch::channel(engine.committed());
        let follows = engine.watch(move |position| {
            moved.send_replace(position);
        });
        let watch = follows.ok_or_else(|| {
            NodeError::Storage("too many watch the change log of this node".to_owned())
        })?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("talos-fleet")
            .enable_all()
            .build()
            .map_err(NodeError::Threads)?;
        let acceptance = watch::Sender::new(engine.acceptance());
        let shared = Arc::new(Shared {
            engine,
            settings,
            node,
            file: Mutex::new(file),
            committed,
            changing: tokio::sync::Mutex::new(()),
            role: Mutex::new(Role::None),
            readiness: ReadinessLease::default(),
            acceptance,
            _watch: watch,
        });
        runtime.block_on(shared.wake())?;
        Ok(Self {
            shared,
            on: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self) -> NodeId {
        self.shared.node
    }

    /// Whether traffic may be sent to this node.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.readiness.is_valid()
    }

    /// The engine may accept other credentials than before: compares with the other nodes again.
    pub fn compare_acceptance(&self) {
        let now = self.shared.engine.acceptance();
        self.shared.acceptance.send_if_modified(|known| {
            let has_changed = *known != now;
            *known = now;
            has_changed
        });
    }

    /// The status of the node.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.shared.status()
    }

    /// Why traffic may not be sent to this node. `None` if it may.
    #[must_use]
    pub fn unready(&self) -> Option<Unready> {
        if self.is_ready() {
            return None;
        }
        self.shared
            .status()
            .unready(self.shared.settings.max_staleness)
    }

    /// The address where it listens for replicas. `None` unless it is a primary.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &*self.shared.role() {
            Role::Primary { address, .. } => Some(*address),
            Role::Replica { .. } | Role::None => None,
        }
    }

    /// Whether this node accepts changes.
    #[must_use]
    pub fn write_role(&self) -> WriteRole {
        match &*self.shared.role() {
            Role::Primary { replaced, .. } => replaced
                .by()
                .map_or(WriteRole::Accepts, WriteRole::Replaced),
            Role::Replica { .. } => WriteRole::Forwards,
            Role::None => WriteRole::Changing,
        }
    }

    /// Whether it shows all changes up to `position`. Always false for a position of an older
    /// epoch; [`Node::reach`] decides those.
    #[must_use]
    pub fn shows(&self, position: Position) -> bool {
        let head = self.shared.engine.committed();
        head.epoch == position.epoch && position.sequence <= head.sequence
    }

    /// Waits until it shows all changes up to `position`. False if that takes longer than
    /// `at_most`. The future works on any runtime.
    pub fn reach(
        &self,
        position: Position,
        at_most: Duration,
    ) -> impl Future<Output = bool> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        let reaching = self.on.spawn(async move {
            let reached = tokio::time::timeout(at_most, shared.reach(position)).await;
            reached.unwrap_or(false)
        });
        async { reaching.await.unwrap_or(false) }
    }

    /// Checks before a write that enough replicas are connected to confirm it. A primary that has
    /// begun less than the greatest wait for confirmations ago gives them that long to connect. The
    /// future needs a tokio runtime with timers.
    ///
    /// # Errors
    /// [`TooFewReplicas`]: the write would not be acknowledged.
    pub fn expects_acks(
        &self,
    ) -> impl Future<Output = Result<(), TooFewReplicas>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.expects_acks().await }
    }

    /// Waits until the required replicas hold the writes up to `position`. Call it before
    /// acknowledging a write. The future works on any runtime.
    ///
    /// # Errors
    /// [`NotReplicated`]: the write must not be acknowledged.
    pub fn acknowledge(
        &self,
        position: Position,
        required: RequiredReplicas,
    ) -> impl Future<Output = Result<(), NotReplicated>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.acknowledge(position, required).await }
    }

    /// The connected replicas that have not confirmed `position`.
    #[must_use]
    pub fn missing(&self, position: Position) -> Vec<NodeId> {
        let NodeStatus::Primary { status, .. } = self.status() else {
            return Vec::new();
        };
        let lacks = |durable: Option<Position>| {
            durable.is_none_or(|durable| durable.sequence.0 < position.sequence.0)
        };
        let replicas = status.replicas.into_iter();
        let missing = replicas.filter(|replica| lacks(replica.durable));
        missing.map(|replica| replica.node).collect()
    }

    /// Makes a replica the primary of a new epoch. The future works on any runtime.
    pub fn promote(
        &self,
    ) -> impl Future<Output = Result<(), NodeRefusal>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        self.change(async move { shared.promote().await })
    }

    /// Resets a diverged replica to its primary's state, and returns the directory that keeps its
    /// old state. The future works on any runtime.
    pub fn rejoin(
        &self,
    ) -> impl Future<Output = Result<PathBuf, NodeRefusal>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        self.change(async move { shared.rejoin().await })
    }

    /// The changes that only this node holds, at most `limit`. The future works on any runtime.
    pub fn diverged_changes(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<DivergedChanges, NodeRefusal>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        self.change(async move {
            let read = spawn_blocking(move || shared.diverged_changes(limit)).await;
            read.unwrap_or_else(|error| Err(NodeRefusal::Failed(error.to_string())))
        })
    }

    /// Runs a change of the role to its end, even if the returned future is dropped.
    fn change<T: Send + 'static, F>(
        &self,
        change: F,
    ) -> impl Future<Output = Result<T, NodeRefusal>> + Send + 'static + use<T, F>
    where
        F: Future<Output = Result<T, NodeRefusal>> + Send + 'static,
    {
        let changing = self.on.spawn(change);
        async {
            let broken_off = |_| Err(NodeRefusal::Failed("the node is stopping".to_owned()));
            changing.await.unwrap_or_else(broken_off)
        }
    }

    /// Ends the node's role and its threads. Writes that wait for replicas end with
    /// [`NotReplicated::Stopped`].
    pub fn stop(&self) {
        let runtime = self.runtime.lock();
        let Some(runtime) = runtime.unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        runtime.block_on(async {
            let ending = async {
                let _changing = self.shared.changing.lock().await;
                self.shared.end().await;
            };
            if tokio::time::timeout(STOP_WAIT, ending).await.is_err() {
                tracing::warn!("replication still ran when the time to stop it was over");
            }
        });
        runtime.shutdown_background();
    }
}
