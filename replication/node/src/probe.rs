//! Checks at start whether a promoted node was replaced by its configured primary.
//!
//! A node that was promoted over its configuration starts as a primary. But the fleet may have gone
//! back to the configured primary since; then two nodes would be primary. So the node asks that
//! primary first. A primary that does not answer counts as gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use talos_model::{Acceptance, CopyPlace, EpochHistory};
use talos_replication::driver::replica::{Replica, ReplicaSettings};
use talos_replication::follow::Stop;
use talos_replication::message::{Batch, Chunk};
use talos_replication::sink::{ChangeSink, DurableState, Progress, SinkError};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::shared::Shared;
use crate::store::last_digest;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Storage that accepts nothing, and records that it was asked to. Only a primary of a later epoch
/// of the same history sends anything to this node.
#[derive(Clone, Default)]
struct Refusing(Arc<AtomicBool>);

impl Refusing {
    fn refuse(&self) -> Result<(), SinkError> {
        self.0.store(true, Ordering::Release);
        Err(SinkError("only asked".to_owned()))
    }
}

impl ChangeSink for Refusing {
    fn adopt(&mut self, _: &EpochHistory) -> Result<(), SinkError> {
        self.refuse()
    }

    fn apply(&mut self, _: &Batch) -> Result<(), SinkError> {
        self.refuse()
    }

    fn begin_copy(&mut self, _: &EpochHistory, _: &CopyPlace) -> Result<(), SinkError> {
        self.refuse()
    }

    fn install(&mut self, _: &Chunk) -> Result<(), SinkError> {
        self.refuse()
    }
}

impl Shared {
    /// Whether the node at `primary` is a primary that this node must follow.
    pub(super) async fn is_replaced_by(&self, primary: &str) -> bool {
        let Ok(last) = last_digest(&self.engine) else {
            return false;
        };
        let durable_state = DurableState {
            history: self.engine.standing().epochs,
            progress: Progress::At(self.engine.committed()),
            last,
        };
        let settings = ReplicaSettings {
            identity: self.identity(),
            max_staleness_ms: self.max_staleness_ms(),
            primary: primary.to_owned(),
            tls: self.settings.replica_tls.clone(),
            // Nothing is compared: no credential is verified by what is learnt.
            acceptance: watch::channel(Acceptance::default()).1,
        };
        let sink = Refusing::default();
        let asked = Arc::clone(&sink.0);
        let (replica, handle) = Replica::new(sink, durable_state, settings);
        let mut status = handle.status();
        let asking = tokio::spawn(replica.run());
        let answered = status.wait_for(|status| status.stop.is_some() || status.last_end.is_some());
        let is_diverged = match timeout(PATIENCE, answered).await {
            Ok(Ok(status)) => matches!(status.stop, Some(Stop::Diverged { .. })),
            _ => false,
        };
        // Fails if the replica has ended already because its storage refused.
        let _ = handle.leave().await;
        let _ = asking.await;
        is_diverged || asked.load(Ordering::Acquire)
    }
}
