//! Changes of the role: how one begins, ends, and is replaced by the other.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use talos_engine::UsedKey;
use talos_model::{Epoch, FollowError, LogRead, LoggedChange, Mode, Position, ReadLimits, clock};
use talos_replication::acks::Wait;
use talos_replication::driver::ack_waiters::NotReplicated;
use talos_replication::driver::primary::{Primary, PrimarySettings};
use talos_replication::driver::replica::{Replica, ReplicaSettings, ReplicaStatus};
use talos_replication::follow::Stop;
use talos_replication::limits::LAST_USED_ENTRIES;
use talos_replication::message::LastUsed;
use talos_replication::sink::SinkError;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::primary_role::{PrimaryRole, Replaced};
use crate::role::Role;
use crate::settings::{ConfiguredRole, DivergedChanges, NodeError, NodeRefusal, TooFewReplicas};
use crate::shared::Shared;
use crate::status::RequiredReplicas;
use crate::store::{EngineSink, EngineSource};

/// The most bytes of the log that are read at a time to find diverged changes.
const LOG_BYTES: usize = 1 << 20;
/// Pause between two looks at the replicas that are connected to a new primary.
const REPLICAS_POLL: Duration = Duration::from_millis(250);

impl Shared {
    /// Begins the first role of the process. A promotion counts unless the configured primary was
    /// promoted later.
    pub(super) async fn wake(self: &Arc<Self>) -> Result<(), NodeError> {
        if let (Mode::Primary, ConfiguredRole::Replica { primary }) =
            (self.engine.mode(), &self.settings.configured_role)
            && self.is_replaced_by(primary).await
        {
            tracing::warn!(
                primary,
                "this node was promoted, and its primary has been promoted since: it follows that one again"
            );
            let engine = Arc::clone(&self.engine);
            let stepped = spawn_blocking(move || engine.step_down()).await;
            let stepped = stepped.map_err(|error| NodeError::Storage(error.to_string()))?;
            stepped.map_err(|error| NodeError::Storage(error.to_string()))?;
            self.file().note_promotion(None).map_err(NodeError::File)?;
        }
        self.begin().await
    }

    /// Begins the role of the engine's mode.
    async fn begin(self: &Arc<Self>) -> Result<(), NodeError> {
        match (self.engine.mode(), &self.settings.configured_role) {
            (Mode::Primary, configured_role) => {
                if let ConfiguredRole::Replica { primary } = configured_role {
                    tracing::warn!(
                        epoch = self.engine.standing().epochs.newest().0,
                        "this node was promoted and is the primary, though it is configured as a replica of {primary}: set replication.role to primary"
                    );
                }
                self.begin_primary().await
            }
            (Mode::Replica, ConfiguredRole::Replica { primary }) => {
                self.begin_replica(primary.clone())
            }
            (Mode::Replica, ConfiguredRole::Primary) => {
                Err(NodeError::Storage("the database is a replica's".to_owned()))
            }
        }
    }

    async fn begin_primary(self: &Arc<Self>) -> Result<(), NodeError> {
        let address = self.settings.listen;
        let refused = |source| NodeError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let (replaced, known) = (Arc::<Replaced>::default(), Arc::<OnceLock<_>>::default());
        let primary_role = PrimaryRole {
            engine: Arc::clone(&self.engine),
            source: EngineSource::new(Arc::clone(&self.engine)),
            history: self.engine.standing().epochs,
            committed: self.committed.clone(),
            replaced: Arc::clone(&replaced),
            handle: Arc::clone(&known),
        };
        let settings = PrimarySettings {
            identity: self.identity(),
            max_staleness_ms: self.max_staleness_ms(),
            copies: self.settings.copies,
            copy_bytes_per_s: self.settings.copy_bytes_per_s,
            tls: self.settings.primary_tls.clone(),
            allowed: self.settings.allowed.clone(),
            acceptance: self.acceptance.subscribe(),
        };
        tracing::info!(%address, node = %self.node, "listening for replicas");
        let primary = Primary::new(primary_role, settings);
        let handle = primary.handle();
        known.get_or_init(|| handle.clone());
        let status = handle.status();
        let (shared, by, mut changed) = (Arc::clone(self), Arc::clone(&replaced), handle.status());
        self.readiness.grant_forever();
        tokio::spawn(async move {
            // Ends with the role.
            while changed.changed().await.is_ok() {
                if by.by().is_some() {
                    shared.readiness.revoke();
                    return;
                }
            }
        });
        let task = tokio::spawn(primary.serve(listener));
        *self.role() = Role::Primary {
            handle,
            status,
            replaced,
            task,
            address,
            begun: Instant::now(),
        };
        Ok(())
    }

    fn begin_replica(self: &Arc<Self>, primary: String) -> Result<(), NodeError> {
        let failed = |error: SinkError| NodeError::Storage(error.to_string());
        let sink = EngineSink::new(Arc::clone(&self.engine)).map_err(failed)?;
        let durable_state = sink.durable_state().map_err(failed)?;
        let settings = ReplicaSettings {
            identity: self.identity(),
            max_staleness_ms: self.max_staleness_ms(),
            primary: primary.clone(),
            tls: self.settings.replica_tls.clone(),
            acceptance: self.acceptance.subscribe(),
        };
        tracing::info!(primary, node = %self.node, "following");
        let (replica, handle) = Replica::new(sink, durable_state, settings);
        let status = handle.status();
        let (shared, mut changed) = (Arc::clone(self), handle.status());
        self.readiness.revoke();
        tokio::spawn(async move {
            // Ends with the role.
            while changed.changed().await.is_ok() {
                let until_ms = ready_until_ms(&changed.borrow_and_update());
                shared.readiness.grant_until(until_ms);
            }
        });
        let uses = handle.clone();
        self.engine.on_used(move |used| {
            let entry = |(key, time): &UsedKey| LastUsed {
                key: key.clone(),
                time_ms: time.0,
            };
            for used in used.chunks(LAST_USED_ENTRIES) {
                // Fails if the queue is full. The next use of the key is reported again.
                let _ = uses.report_last_used(used.iter().map(entry).collect());
            }
        });
        let task = tokio::spawn(replica.run());
        *self.role() = Role::Replica {
            handle,
            status,
            task,
            primary,
        };
        Ok(())
    }

    /// Ends the current role, and waits until its storage is idle.
    pub(super) async fn end(&self) {
        let role = std::mem::replace(&mut *self.role(), Role::None);
        match role {
            Role::Primary { handle, task, .. } => {
                handle.stop();
                let _ = task.await;
            }
            Role::Replica { handle, task, .. } => {
                // Fails if the replica has ended already; it has logged its error.
                let _ = handle.leave().await;
                let _ = task.await;
            }
            Role::None => {}
        }
        self.readiness.revoke();
    }

    pub(super) async fn reach(&self, position: Position) -> bool {
        let mut committed = self.committed.clone();
        loop {
            committed.mark_unchanged();
            let (standing, shown) = (self.engine.standing(), self.engine.committed());
            let is_there = standing.copying.is_none()
                && position.sequence <= shown.sequence
                && standing.epochs.has(position);
            if is_there {
                return true;
            }
            if committed.changed().await.is_err() {
                return false;
            }
        }
    }

    pub(super) async fn expects_acks(&self) -> Result<(), TooFewReplicas> {
        let needed = self.settings.min_acks;
        loop {
            let (connected, begun) = match &*self.role() {
                Role::Primary { handle, begun, .. } => (handle.connected(), *begun),
                // The write itself finds out that this node takes none.
                Role::Replica { .. } | Role::None => return Ok(()),
            };
            if connected >= needed {
                return Ok(());
            }
            if begun.elapsed() >= self.settings.ack_timeout {
                return Err(TooFewReplicas { connected, needed });
            }
            tokio::time::sleep(REPLICAS_POLL).await;
        }
    }

    pub(super) async fn acknowledge(
        &self,
        position: Position,
        required: RequiredReplicas,
    ) -> Result<(), NotReplicated> {
        let count = self.settings.min_acks;
        let wait = match required {
            RequiredReplicas::Configured => Wait::Count(count),
            RequiredReplicas::AllFresh => Wait::AllFresh(count),
        };
        let (waiting, replaced) = match &*self.role() {
            Role::Primary {
                handle, replaced, ..
            } => {
                let waiting = handle.wait(position, wait, self.settings.ack_timeout)?;
                (waiting, Arc::clone(replaced))
            }
            Role::Replica { .. } | Role::None => return Err(NotReplicated::Stopped),
        };
        waiting.outcome().await?;
        match replaced.by() {
            None => Ok(()),
            Some(_) => Err(NotReplicated::Stopped),
        }
    }

    pub(super) async fn promote(self: Arc<Self>) -> Result<(), NodeRefusal> {
        let _changing = self.changing.lock().await;
        {
            let role = self.role();
            let Role::Replica { status, .. } = &*role else {
                return Err(NodeRefusal::Precondition(
                    "only a replica can be promoted, and this node is none",
                ));
            };
            if status.borrow().position.is_none() {
                return Err(NodeRefusal::Precondition(
                    "this node holds only a part of a copy; promote another one",
                ));
            }
        }
        self.end().await;
        let engine = Arc::clone(&self.engine);
        let promoted = spawn_blocking(move || engine.promote(None)).await;
        let promoted =
            promoted.unwrap_or_else(|error| Err(FollowError::Storage(error.to_string())));
        if let Err(error) = promoted {
            self.begin().await?;
            return Err(NodeRefusal::Failed(error.to_string()));
        }
        tracing::warn!(
            epoch = self.engine.standing().epochs.newest().0,
            "this node was promoted and takes changes from now on"
        );
        let missing = self.engine.missing_secrets(clock::now());
        if missing > 0 {
            tracing::warn!(
                missing,
                "this primary lacks secrets that have signed keys, and refuses these keys as unknown: add the secrets to secrets.hmac.retired"
            );
        }
        let noted = self
            .file()
            .note_promotion(Some(&self.settings.configured_role));
        self.begin().await?;
        noted.map_err(|error| {
            NodeRefusal::Failed(format!(
                "the node is the primary, but cannot note it: {error}; set replication.role to primary before it is started again"
            ))
        })
    }

    pub(super) async fn rejoin(self: Arc<Self>) -> Result<PathBuf, NodeRefusal> {
        let _changing = self.changing.lock().await;
        let handle = match &*self.role() {
            Role::Replica { handle, status, .. } if is_diverged(status) => handle.clone(),
            _ => return Err(NOT_DIVERGED),
        };
        let engine = Arc::clone(&self.engine);
        let head = self.engine.committed();
        let mut kept = self.settings.directory.clone().into_os_string();
        kept.push(format!("-kept-{head}"));
        let kept = PathBuf::from(kept);
        let to = kept.clone();
        let copied = spawn_blocking(move || engine.keep_aside(&to)).await;
        let copied = copied.unwrap_or_else(|error| Err(error.to_string()));
        copied.map_err(|error| {
            NodeRefusal::Failed(format!(
                "what this node holds cannot be kept in {}: {error}",
                kept.display()
            ))
        })?;
        let ordered = handle.resync().await;
        ordered.map_err(|error| NodeRefusal::Failed(error.to_string()))?;
        Ok(kept)
    }

    pub(super) fn diverged_changes(&self, limit: usize) -> Result<DivergedChanges, NodeRefusal> {
        let fork = match &*self.role() {
            Role::Replica { status, .. } => match status.borrow().stop {
                Some(Stop::Diverged { fork, .. }) => fork,
                _ => return Err(NOT_DIVERGED),
            },
            _ => return Err(NOT_DIVERGED),
        };
        let failed = |error: talos_model::ReadError| NodeRefusal::Failed(error.to_string());
        let epochs = self.engine.standing().epochs;
        let at = |sequence| Position {
            epoch: epochs.epoch_of(sequence).unwrap_or(Epoch::FIRST),
            sequence,
        };
        let head = self.engine.committed();
        let total = head.sequence.0.saturating_sub(fork.0);
        let mut changes: Vec<LoggedChange> = Vec::new();
        let mut after = at(fork);
        while changes.len() < limit {
            let limits = ReadLimits {
                entries: limit - changes.len(),
                bytes: LOG_BYTES,
            };
            match self.engine.changes_after(after, limits).map_err(failed)? {
                LogRead::Changes(more) => changes.extend(more),
                LogRead::None | LogRead::Gone => break,
            }
            let Some(last) = changes.last() else { break };
            after = last.position;
        }
        Ok(DivergedChanges {
            fork: at(fork),
            changes,
            total,
        })
    }
}

/// Until when a replica may receive traffic: while it is up to date, and only if it accepts the
/// credentials that its primary accepts.
fn ready_until_ms(status: &ReplicaStatus) -> Option<u64> {
    let is_refusing = status.refusing().next().is_some();
    status.fresh_until_ms().filter(|_| !is_refusing)
}

const NOT_DIVERGED: NodeRefusal = NodeRefusal::Precondition(
    "this node holds nothing that its primary does not have, as far as it knows",
);

fn is_diverged(status: &watch::Receiver<ReplicaStatus>) -> bool {
    matches!(status.borrow().stop, Some(Stop::Diverged { .. }))
}
