//! A node of a fleet: an engine, and the driver of the role that the node has now.
//!
//! Guarantees:
//! - A promotion ends the role of a replica at rest, makes the new epoch durable, and only then are changes taken.
//! - A node that learns of a later epoch acknowledges nothing from then on, steps down durably and feeds nobody.
//! - A promotion outlives a restart for as long as the configuration is the one that it overrode, unless the primary that is
//!   configured has been promoted since.
//! - What is asked for every request ([`Node::is_ready`], [`Node::shows`]) takes no lock while the answer is yes.

#![forbid(unsafe_code)]

mod file;
mod primary_role;
mod probe;
mod readiness_lease;
mod role;
mod settings;
mod status;
pub mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use talos_engine::{Engine, Watch};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::spawn_blocking;

pub use self::file::NodeFile;
use self::readiness_lease::ReadinessLease;
use self::role::Role;
pub use self::settings::{ConfiguredRole, DivergedChanges, NodeError, NodeRefusal, NodeSettings};
pub use self::status::{NodeStatus, Unready, WriteRole};
use crate::store::committed_position;
use talos_replication::driver::ack_waiters::NotReplicated;
use talos_replication::position::{ClusterId, NodeId, Position};

/// All nodes that share a secret may follow one another; their lineages tell whether they can.
const CLUSTER: ClusterId = ClusterId([0; 16]);
/// Threads for connections; what waits for the disk has threads of its own.
const THREADS: usize = 2;
/// How long a stop waits for a role to end.
const STOP_WAIT: Duration = Duration::from_secs(10);

struct Shared {
    engine: Arc<Engine>,
    settings: NodeSettings,
    node: NodeId,
    file: Mutex<NodeFile>,
    committed: watch::Receiver<Position>,
    /// One change of roles at a time.
    changing: tokio::sync::Mutex<()>,
    role: Mutex<Role>,
    readiness: ReadinessLease,
    _watch: Watch,
}

/// See the module.
pub struct Node {
    shared: Arc<Shared>,
    runtime: Mutex<Option<Runtime>>,
    on: tokio::runtime::Handle,
}

impl Node {
    /// Starts in the role that the engine is open for, which is [`NodeFile::mode`]'s.
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
        let (moved, committed) = watch::channel(committed_position(&engine));
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
        let shared = Arc::new(Shared {
            engine,
            settings,
            node,
            file: Mutex::new(file),
            committed,
            changing: tokio::sync::Mutex::new(()),
            role: Mutex::new(Role::None),
            readiness: ReadinessLease::default(),
            _watch: watch,
        });
        runtime.block_on(shared.wake())?;
        Ok(Self {
            shared,
            on: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> NodeId {
        self.shared.node
    }

    /// Whether traffic may be sent to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.shared.readiness.is_valid()
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.shared.status()
    }

    /// Why traffic may not be sent to it, if that is so.
    #[must_use]
    pub fn unready(&self) -> Option<Unready> {
        if self.is_ready() {
            return None;
        }
        self.shared
            .status()
            .unready(self.shared.settings.max_staleness)
    }

    /// Where it listens for replicas, if it does.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &*self.shared.role() {
            Role::Primary { address, .. } => Some(*address),
            Role::Replica { .. } | Role::None => None,
        }
    }

    /// Whether it takes changes.
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

    /// Whether it shows all changes up to `position`, as far as can be said without waiting.
    #[must_use]
    pub fn shows(&self, position: Position) -> bool {
        let head = self.shared.engine.head();
        head.epoch == position.epoch && position.sequence <= head.sequence
    }

    /// Waits until it shows all changes up to `position`; false when it does not within `at_most`. May be polled anywhere.
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

    /// Waits until the writes up to `position` are with as many replicas as is configured, and with `every` one that takes
    /// itself to be up to date. No write is acknowledged before. May be polled anywhere.
    ///
    /// # Errors
    /// [`NotReplicated`]: the write must not be acknowledged.
    pub fn acknowledge(
        &self,
        position: Position,
        every: bool,
    ) -> impl Future<Output = Result<(), NotReplicated>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        async move { shared.acknowledge(position, every).await }
    }

    /// The replicas that are connected and have not said that they hold `position`.
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

    /// Makes a replica the primary of a new epoch. May be polled anywhere.
    pub fn promote(
        &self,
    ) -> impl Future<Output = Result<(), NodeRefusal>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        self.change(async move { shared.promote().await })
    }

    /// Sets a replica that holds changes of its own back to its primary's, and returns where what it held is kept. May be
    /// polled anywhere.
    pub fn rejoin(
        &self,
    ) -> impl Future<Output = Result<PathBuf, NodeRefusal>> + Send + 'static + use<> {
        let shared = Arc::clone(&self.shared);
        self.change(async move { shared.rejoin().await })
    }

    /// The changes that only this node holds, at most `limit` of them. May be polled anywhere.
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

    /// Runs to its end whatever becomes of who asked for it.
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

    /// Ends the node's role and its threads. What waits for replicas is told so.
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
