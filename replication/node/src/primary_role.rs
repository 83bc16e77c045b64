//! The engine in the role of a primary.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use talos_engine::Engine;
use talos_model::clock::UnixMillis;
use talos_model::{Epoch, EpochHistory, FollowError, Position};
use talos_replication::driver::primary::{PrimaryHandle, PrimaryNode};
use talos_replication::message::LastUsed;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::store::EngineSource;

/// The later epoch of another primary, once there is one. From then on this node acknowledges no
/// write.
#[derive(Debug, Default)]
pub(super) struct Replaced(AtomicU64);

impl Replaced {
    /// The later epoch, if there is one.
    pub(super) fn by(&self) -> Option<Epoch> {
        match self.0.load(Ordering::SeqCst) {
            0 => None,
            epoch => Some(Epoch(epoch)),
        }
    }

    fn note(&self, epoch: Epoch) {
        self.0.fetch_max(epoch.0, Ordering::SeqCst);
    }
}

/// What the driver of a primary needs of the engine.
pub(super) struct PrimaryRole {
    pub(super) engine: Arc<Engine>,
    pub(super) source: EngineSource,
    pub(super) history: EpochHistory,
    pub(super) committed: watch::Receiver<Position>,
    pub(super) replaced: Arc<Replaced>,
    /// Set before the primary listens.
    pub(super) handle: Arc<OnceLock<PrimaryHandle>>,
}

impl PrimaryNode for PrimaryRole {
    type Source = EngineSource;

    fn source(&self) -> EngineSource {
        self.source.clone()
    }

    fn history(&self) -> EpochHistory {
        self.history.clone()
    }

    fn committed(&self) -> watch::Receiver<Position> {
        self.committed.clone()
    }

    fn on_last_used(&self, last_used: Vec<LastUsed>) {
        for LastUsed { key, time_ms } in last_used {
            if !self.engine.note_used(&key, UnixMillis(time_ms)) {
                tracing::debug!("a replica's last use of a key was not taken");
            }
        }
    }

    fn on_replaced(&self, epoch: Epoch) {
        if self.replaced.by().is_none_or(|known| known < epoch) {
            tracing::error!(
                epoch = epoch.0,
                "another node is the primary of a later epoch: this one takes no more changes"
            );
        }
        self.replaced.note(epoch);
        let (engine, handle) = (Arc::clone(&self.engine), Arc::clone(&self.handle));
        // Stepping down blocks on disk. No write is acknowledged from now on in any case.
        spawn_blocking(move || {
            match engine.step_down() {
                Ok(()) | Err(FollowError::Replica) => {}
                Err(error) => tracing::error!(%error, "the replaced primary cannot step down"),
            }
            if let Some(handle) = handle.get() {
                handle.stop();
            }
        });
    }
}
