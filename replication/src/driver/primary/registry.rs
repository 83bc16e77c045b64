//! The replicas that a primary feeds, the writes that wait for them, and the refusals. Shared by
//! all connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use talos_model::{Difference, Epoch, Position};
use tokio::sync::{oneshot, watch};

use crate::acks::ReplicaConnection;
use crate::driver::ack_waiters::AckWaiters;
use crate::driver::clock::now_ms;
use crate::ids::NodeId;
use crate::limits::REPLICAS;
use crate::refusal::Refusals;

/// The status of a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrimaryStatus {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last durable change.
    pub position: Position,
    /// The later epoch of another primary, if there is one.
    pub replaced_by: Option<Epoch>,
    /// The connected replicas, ordered by node.
    pub replicas: Vec<FedReplica>,
}

/// A connected replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FedReplica {
    /// Its name.
    pub node: NodeId,
    /// Its network address.
    pub address: SocketAddr,
    /// What it receives.
    pub state: FedState,
    /// The last change that it has confirmed.
    pub durable: Option<Position>,
    /// How many changes it lacks.
    pub behind_changes: u64,
    /// For how many milliseconds the oldest of them has been durable here.
    pub behind_ms: u64,
    /// How the credentials that the primary accepts differ from those that the replica accepts.
    pub differences: Vec<Difference>,
}

/// What a replica receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FedState {
    /// Nothing yet: its request is not answered.
    #[default]
    Asking,
    /// A full copy.
    Copying,
    /// Changes.
    Following,
}

impl FedState {
    /// The name in logs and API answers.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Copying => "copying",
            Self::Following => "following",
        }
    }
}

/// What a connection reports about its replica.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    pub(super) state: FedState,
    pub(super) durable: Option<Position>,
    pub(super) behind_since_ms: Option<u64>,
}

struct Entry {
    number: u64,
    address: SocketAddr,
    report: Report,
    differences: Vec<Difference>,
    /// Closes the connection when it is dropped.
    _cut: oneshot::Sender<()>,
}

pub(super) struct ReplicaRegistry {
    pub(super) waiters: AckWaiters,
    pub(super) refusals: Refusals,
    entries: Mutex<HashMap<NodeId, Entry>>,
    numbers: AtomicU64,
    status: watch::Sender<PrimaryStatus>,
    stopping: watch::Sender<bool>,
}

impl ReplicaRegistry {
    pub(super) fn new(epoch: Epoch, position: Position, max_staleness_ms: u64) -> Self {
        Self {
            waiters: AckWaiters::new(max_staleness_ms),
            refusals: Refusals::default(),
            entries: Mutex::default(),
            numbers: AtomicU64::new(0),
            status: watch::Sender::new(PrimaryStatus {
                epoch,
                position,
                replaced_by: None,
                replicas: Vec::new(),
            }),
            stopping: watch::Sender::new(false),
        }
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<NodeId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn status(&self) -> watch::Receiver<PrimaryStatus> {
        self.status.subscribe()
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    pub(super) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// The primary has stopped: ends all waits and clears the status.
    pub(super) fn end(&self) {
        self.waiters.stop();
        self.status
            .send_modify(|status| status.replicas = Vec::new());
    }

    /// Registers a connected replica, and ends its previous connection if there is one. `None` if
    /// the limit of replicas is reached.
    pub(super) fn register(
        self: &Arc<Self>,
        node: NodeId,
        address: SocketAddr,
    ) -> Option<Registration> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (cut, replaced) = oneshot::channel();
        let mut entries = self.entries();
        if entries.len() >= REPLICAS && !entries.contains_key(&node) {
            return None;
        }
        let report = Report::default();
        let entry = Entry {
            number,
            address,
            report,
            differences: Vec::new(),
            _cut: cut,
        };
        entries.insert(node, entry);
        Some(Registration {
            registry: Arc::clone(self),
            connection: ReplicaConnection { node, number },
            replaced,
        })
    }

    pub(super) fn on_replaced(&self, epoch: Epoch) {
        self.status.send_modify(|status| {
            status.replaced_by = status.replaced_by.max(Some(epoch));
        });
    }

    /// Expires waits, and publishes the status.
    pub(super) fn on_tick(&self, position: Position) {
        self.waiters.on_tick();
        let now_ms = now_ms();
        let mut replicas: Vec<_> = self
            .entries()
            .iter()
            .map(|(node, entry)| {
                let Report {
                    state,
                    durable,
                    behind_since_ms,
                } = entry.report;
                let has = durable.map_or(0, |durable| durable.sequence.0);
                FedReplica {
                    node: *node,
                    address: entry.address,
                    state,
                    durable,
                    behind_changes: position.sequence.0.saturating_sub(has),
                    behind_ms: behind_since_ms.map_or(0, |since| now_ms.saturating_sub(since)),
                    differences: entry.differences.clone(),
                }
            })
            .collect();
        replicas.sort_unstable_by_key(|replica| replica.node);
        self.status.send_if_modified(|status| {
            if status.position == position && status.replicas == replicas {
                return false;
            }
            status.position = position;
            status.replicas = replicas;
            true
        });
    }
}

/// The registration of a connected replica. Dropping it removes the replica.
pub(super) struct Registration {
    registry: Arc<ReplicaRegistry>,
    pub(super) connection: ReplicaConnection,
    /// Resolves when a later connection of the same replica registers.
    pub(super) replaced: oneshot::Receiver<()>,
}

impl Registration {
    pub(super) fn report(&self, report: Report) {
        self.update(|entry| entry.report = report);
    }

    /// Notes how the replica differs from the primary.
    pub(super) fn note_differences(&self, differences: Vec<Difference>) {
        self.update(|entry| entry.differences = differences);
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        let ReplicaConnection { node, number } = self.connection;
        if let Some(entry) = self.registry.entries().get_mut(&node)
            && entry.number == number
        {
            change(entry);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.waiters.left(self.connection);
        let ReplicaConnection { node, number } = self.connection;
        let mut entries = self.registry.entries();
        if entries
            .get(&node)
            .is_some_and(|entry| entry.number == number)
        {
            entries.remove(&node);
        }
    }
}
